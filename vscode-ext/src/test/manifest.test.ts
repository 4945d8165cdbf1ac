import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { ATTACH_ARGUMENTS } from "../attachArguments";
import { judgeConfiguration } from "../configuration";
import { DEBUG_TYPE, PATH_SETTING, SETTINGS } from "../names";

interface Schema {
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

interface Manifest {
  readonly main: string;
  readonly activationEvents: readonly string[];
  readonly contributes: {
    readonly debuggers: readonly [
      {
        readonly type: string;
        readonly configurationAttributes: Readonly<Record<string, Schema>>;
        readonly initialConfigurations: readonly Record<string, unknown>[];
        readonly configurationSnippets: readonly { readonly body: Record<string, unknown> }[];
      },
    ];
    readonly configuration: { readonly properties: Readonly<Record<string, unknown>> };
  };
}

const ROOT = join(__dirname, "..", "..");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
const [debuggerContribution] = manifest.contributes.debuggers;

/** Every argument that the schema describes, named as in ATTACH_ARGUMENTS. */
function schemaArguments(schema: Schema | undefined, prefix = ""): Map<string, Schema> {
  const found = new Map<string, Schema>();
  for (const [key, member] of Object.entries(schema?.properties ?? {})) {
    const name = prefix + key;
    found.set(name, member);
    for (const [inner, innerSchema] of schemaArguments(member, `${name}.`)) {
      found.set(inner, innerSchema);
    }
    for (const [inner, innerSchema] of schemaArguments(member.items, `${name}[].`)) {
      found.set(inner, innerSchema);
    }
  }
  return found;
}

const described = schemaArguments(debuggerContribution.configurationAttributes["attach"]);

test("the schema has the adapter's attach arguments, and no others", () => {
  assert.deepEqual([...described.keys()], ATTACH_ARGUMENTS.map(({ name }) => name));
});

for (const argument of ATTACH_ARGUMENTS) {
  test(`${argument.name} has a description and the adapter's default`, () => {
    const schema = described.get(argument.name);
    assert.match(schema?.description ?? "", /^[A-Z].*\.$/);
    assert.deepEqual(schema?.default, argument.default);
  });
}

test("attach is the only request", () => {
  assert.deepEqual(Object.keys(debuggerContribution.configurationAttributes), ["attach"]);
});

test("initial configurations and snippets pass our own check and use known arguments", () => {
  const offered = [
    ...debuggerContribution.initialConfigurations,
    ...debuggerContribution.configurationSnippets.map(({ body }) => body),
  ];
  assert.ok(offered.length > 1);
  for (const configuration of offered) {
    assert.deepEqual(judgeConfiguration(configuration), { kind: "good" });
    const { name, type, request, ...rest } = configuration;
    assert.ok(typeof name === "string" && name !== "");
    assert.equal(type, DEBUG_TYPE);
    assert.equal(request, "attach");
    assert.deepEqual(Object.keys(rest).filter((key) => !described.has(key)), []);
  }
});

test("the names in the code are those of the manifest", () => {
  assert.equal(debuggerContribution.type, DEBUG_TYPE);
  assert.deepEqual(manifest.activationEvents, [`onDebugResolve:${DEBUG_TYPE}`]);
  assert.deepEqual(Object.keys(manifest.contributes.configuration.properties), [PATH_SETTING, `${SETTINGS}.trace`]);
  assert.ok(existsSync(join(ROOT, manifest.main)));
});
