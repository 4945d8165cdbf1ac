import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { findAdapter, thisComputer, type AdapterPath, type Computer, type FileState } from "../adapterPath";

const EXTENSION = "/ext";

function linux(files: Record<string, FileState>, searchPath = "/usr/local/bin:/usr/bin"): Computer {
  return { windows: false, homeDirectory: "/home/ann", searchPath, fileState: (path) => files[path] ?? "missing" };
}

function windows(files: Record<string, FileState>, searchPath = "C:\\Windows;D:\\tools"): Computer {
  return { windows: true, homeDirectory: "C:\\Users\\ann", searchPath, fileState: (path) => files[path] ?? "missing" };
}

function path(adapter: AdapterPath): string {
  assert.ok(adapter.found, adapter.found ? undefined : adapter.message);
  return adapter.path;
}

function message(adapter: AdapterPath): string {
  assert.ok(!adapter.found);
  return adapter.message;
}

test("no setting → the adapter bundled in bin/ wins over PATH", () => {
  const computer = linux({ "/ext/bin/ptvsd-bridge": "executable", "/usr/bin/ptvsd-bridge": "executable" });
  assert.equal(path(findAdapter("", EXTENSION, computer)), "/ext/bin/ptvsd-bridge");
});

test("no setting, nothing bundled → the first one on PATH", () => {
  const computer = linux({ "/usr/local/bin/ptvsd-bridge": "not executable", "/usr/bin/ptvsd-bridge": "executable" });
  assert.equal(path(findAdapter("  ", EXTENSION, computer)), "/usr/bin/ptvsd-bridge");
});

test("no adapter anywhere → the message names both places and the setting", () => {
  const text = message(findAdapter("", EXTENSION, linux({ "/ext/bin/ptvsd-bridge": "not executable" })));
  assert.match(text, /\/ext\/bin\/ptvsd-bridge \(not executable\)/);
  assert.match(text, /ptvsd-bridge on PATH \(\/usr\/local\/bin:\/usr\/bin\)/);
  assert.match(text, /"ptvsd-bridge\.path"/);
});

test("a full path in the setting is used, and `~/` is the home directory", () => {
  const computer = linux({ "/opt/bridge": "executable", "/home/ann/bin/bridge": "executable" });
  assert.equal(path(findAdapter("/opt/bridge", EXTENSION, computer)), "/opt/bridge");
  assert.equal(path(findAdapter("~/bin/bridge", EXTENSION, computer)), "/home/ann/bin/bridge");
});

test("a bare name in the setting is looked up on PATH", () => {
  assert.equal(path(findAdapter("bridge", EXTENSION, linux({ "/usr/bin/bridge": "executable" }))), "/usr/bin/bridge");
});

test("a wrong setting is an error, even where a bundled adapter is at hand", () => {
  const computer = linux({ "/ext/bin/ptvsd-bridge": "executable" });
  const text = message(findAdapter("/opt/bridge", EXTENSION, computer));
  assert.match(text, /\/opt\/bridge \(missing\)/);
  assert.match(text, /"ptvsd-bridge\.path"/);
});

test("a relative path in the setting is refused with the reason", () => {
  const text = message(findAdapter("target/ptvsd-bridge", EXTENSION, linux({ "target/ptvsd-bridge": "executable" })));
  assert.match(text, /neither a full path nor a bare name/);
});

test("empty and relative entries of PATH run nothing from the current folder", () => {
  const everywhere: Computer = { ...linux({}, ":.:bin"), fileState: (file) => (file.startsWith("/") ? "missing" : "executable") };
  assert.match(message(findAdapter("", EXTENSION, everywhere)), /on PATH \(no directories\)/);
});

test("Windows: .exe is added where it is left out", () => {
  const computer = windows({ "D:\\tools\\ptvsd-bridge.exe": "executable", "C:\\b\\bridge.exe": "executable" });
  assert.equal(path(findAdapter("", "C:\\ext", computer)), "D:\\tools\\ptvsd-bridge.exe");
  assert.equal(path(findAdapter("C:\\b\\bridge", "C:\\ext", computer)), "C:\\b\\bridge.exe");
  assert.equal(path(findAdapter("C:/b/bridge.exe", "C:\\ext", windows({ "C:/b/bridge.exe": "executable" }))), "C:/b/bridge.exe");
});

test("this computer tells an executable from a folder, a plain file and nothing", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ptvsd-bridge-"));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  const computer = thisComputer();
  assert.equal(computer.fileState(process.execPath), "executable");
  assert.equal(computer.fileState(directory), "not a file");
  assert.equal(computer.fileState(join(directory, "nothing")), "missing");
  if (!computer.windows) {
    const plain = join(directory, "plain");
    writeFileSync(plain, "", { mode: 0o644 });
    assert.equal(computer.fileState(plain), "not executable");
    assert.equal(computer.fileState(join(plain, "under-a-file")), "missing");
  }
});
