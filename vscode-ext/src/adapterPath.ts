import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { posix, win32 } from "node:path";

import { PATH_SETTING } from "./names";

const ADAPTER_NAME = "ptvsd-bridge";

export type FileState = "executable" | "not executable" | "not a file" | "not accessible" | "missing";

/** What the search asks of the computer; tests give their own. */
export interface Computer {
  readonly windows: boolean;
  readonly homeDirectory: string;
  /** Value of `PATH`. */
  readonly searchPath: string;
  fileState(path: string): FileState;
}

export type AdapterPath =
  | { readonly found: true; readonly path: string }
  /** `message` says what was tried and what to do. */
  | { readonly found: false; readonly message: string };

/**
 * Finds the adapter program. A path that the user has set is the only one tried, since running
 * another adapter than the one asked for would hide the mistake.
 */
export function findAdapter(setting: string, extensionDirectory: string, computer: Computer): AdapterPath {
  const search = new Search(computer);
  const wanted = setting.trim();
  if (wanted !== "") {
    return search.forSetting(wanted) ?? notFound(search.tried, `Correct the setting "${PATH_SETTING}" or empty it.`);
  }
  const bundled = search.paths.join(extensionDirectory, "bin", ADAPTER_NAME);
  return (
    search.file(bundled) ??
    search.onPath(ADAPTER_NAME) ??
    notFound(search.tried, `Put ptvsd-bridge on PATH, or set "${PATH_SETTING}" to its full path.`)
  );
}

/** The computer that the extension runs on. */
export function thisComputer(): Computer {
  return {
    windows: process.platform === "win32",
    homeDirectory: homedir(),
    searchPath: process.env["PATH"] ?? "",
    fileState: stateOfFile,
  };
}

function stateOfFile(path: string): FileState {
  try {
    if (!statSync(path).isFile()) {
      return "not a file";
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOENT" || code === "ENOTDIR" ? "missing" : "not accessible";
  }
  try {
    accessSync(path, constants.X_OK);
    return "executable";
  } catch {
    return "not executable";
  }
}

function notFound(tried: readonly string[], remedy: string): AdapterPath {
  return { found: false, message: `The ptvsd-bridge adapter was not found. Tried: ${tried.join("; ")}. ${remedy}` };
}

class Search {
  readonly tried: string[] = [];
  readonly paths: typeof posix;

  constructor(private readonly computer: Computer) {
    this.paths = computer.windows ? win32 : posix;
  }

  forSetting(wanted: string): AdapterPath | undefined {
    const path = /^~[\\/]/.test(wanted) ? this.paths.join(this.computer.homeDirectory, wanted.slice(2)) : wanted;
    if (this.paths.isAbsolute(path)) {
      return this.file(path);
    }
    if (this.paths.basename(path) === path) {
      return this.onPath(path);
    }
    // It would depend on the folder in which VS Code happens to have been started.
    this.tried.push(`${path} (neither a full path nor a bare name)`);
    return undefined;
  }

  file(path: string): AdapterPath | undefined {
    for (const candidate of this.spellings(path)) {
      const state = this.computer.fileState(candidate);
      if (state === "executable") {
        return { found: true, path: candidate };
      }
      this.tried.push(`${candidate} (${state})`);
    }
    return undefined;
  }

  onPath(name: string): AdapterPath | undefined {
    // Empty and relative entries mean the current folder: nothing to run a program from.
    const directories = this.computer.searchPath
      .split(this.paths.delimiter)
      .filter((directory) => this.paths.isAbsolute(directory));
    for (const directory of directories) {
      for (const candidate of this.spellings(this.paths.join(directory, name))) {
        if (this.computer.fileState(candidate) === "executable") {
          return { found: true, path: candidate };
        }
      }
    }
    const where = directories.length === 0 ? "no directories" : directories.join(this.paths.delimiter);
    this.tried.push(`${name} on PATH (${where})`);
    return undefined;
  }

  private spellings(path: string): readonly string[] {
    if (!this.computer.windows || path.toLowerCase().endsWith(".exe")) {
      return [path];
    }
    return [`${path}.exe`];
  }
}
