import assert from "node:assert/strict";
import { test } from "node:test";

import { judgeConfiguration, type Configuration } from "../configuration";

function complaint(configuration: Configuration): string {
  const verdict = judgeConfiguration(configuration);
  assert.equal(verdict.kind, "wrong");
  return verdict.message;
}

test("attach → good", () => {
  assert.deepEqual(judgeConfiguration({ type: "ptvsd-bridge", name: "x", request: "attach" }), { kind: "good" });
});

test("no launch.json → none, also for a run without debugging", () => {
  assert.deepEqual(judgeConfiguration({}), { kind: "none" });
  assert.deepEqual(judgeConfiguration({ noDebug: true }), { kind: "none" });
});

test("launch → wrong, with the configuration's name and the remedy", () => {
  const text = complaint({ type: "ptvsd-bridge", name: "Service", request: "launch" });
  assert.match(text, /^"Service" has "request": "launch"/);
  assert.match(text, /write "request": "attach"/);
});

test("no request, or one that is no word → wrong, and said so", () => {
  assert.match(complaint({ type: "ptvsd-bridge", name: "Service" }), /has no "request"/);
  assert.match(complaint({ type: "ptvsd-bridge", request: 7 }), /^The debug configuration has "request": 7/);
});
