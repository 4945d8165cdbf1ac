import assert from "node:assert/strict";
import { test } from "node:test";

import { traceLine } from "../trace";

function attach(args: unknown): string {
  return traceLine("→", { seq: 2, type: "request", command: "attach", arguments: args });
}

test("attach → no secret is shown, wherever it stands", () => {
  const line = attach({
    target: "tcps://hush@host:5678",
    host: "hush@host",
    connect: { host: "hush@host", port: 5678, secret: "hush" },
    secret: "hush",
    secretEnv: "hush",
    sceret: "hush",
    env: { PASSWORD: "hush" },
  });
  assert.doesNotMatch(line, /hush/);
  assert.match(line, /"target":"tcps:\/\/\(hidden\)@host:5678"/);
  assert.match(line, /"port":5678/);
});

test("attach → an `@` left in a secret, or a misspelt scheme, shows nothing of it", () => {
  assert.doesNotMatch(attach({ target: "tcp://hu@sh@host" }), /hu|sh/);
  assert.doesNotMatch(attach({ target: "tpc://hush@host" }), /hush/);
});

test("attach → what helps to find a mistake is shown", () => {
  const line = attach({ name: "Service", target: "host", pathMappings: [{ localRoot: "/w", remoteRoot: "/srv" }], stopOnEntry: false });
  assert.match(line, /"name":"Service"/);
  assert.match(line, /"target":"host"/);
  assert.match(line, /\{"localRoot":"\/w","remoteRoot":"\/srv"\}/);
  assert.match(line, /"stopOnEntry":false/);
});

test("restart → carries the configuration once more, without its secret", () => {
  const line = traceLine("→", { type: "request", command: "restart", arguments: { arguments: { secret: "hush", port: 1 } } });
  assert.doesNotMatch(line, /hush/);
  assert.match(line, /"port":1/);
});

test("attach without arguments, other requests and events → as they are", () => {
  assert.equal(traceLine("→", { type: "request", command: "attach" }), '→ {"type":"request","command":"attach"}');
  assert.equal(traceLine("→", { type: "request", command: "threads" }), '→ {"type":"request","command":"threads"}');
  assert.equal(traceLine("←", { type: "event", event: "initialized" }), '← {"type":"event","event":"initialized"}');
});

test("a huge message → its beginning and its size", () => {
  const line = traceLine("←", { type: "response", body: "x".repeat(1_000_000) });
  assert.ok(line.length < 5000);
  assert.match(line, /… \(10\d{5} characters\)$/);
});
