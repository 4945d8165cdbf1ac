/** The part of a debug configuration that is judged here; the rest is the adapter's to judge. */
export interface Configuration {
  readonly type?: unknown;
  readonly name?: unknown;
  readonly request?: unknown;
  readonly [other: string]: unknown;
}

export type Verdict =
  | { readonly kind: "good" }
  /** VS Code was told to debug and there is no launch.json. */
  | { readonly kind: "none" }
  | { readonly kind: "wrong"; readonly message: string };

export function judgeConfiguration(configuration: Configuration): Verdict {
  const { type, name, request } = configuration;
  if (!type && !name && !request) {
    return { kind: "none" };
  }
  if (request === "attach") {
    return { kind: "good" };
  }
  const title = typeof name === "string" && name !== "" ? `"${name}"` : "The debug configuration";
  const problem =
    request === undefined ? "has no \"request\"" : `has "request": ${JSON.stringify(request)}, which is not supported`;
  return {
    kind: "wrong",
    message:
      `${title} ${problem}. Python (legacy ptvsd) attaches to a program that already runs: ` +
      "start the program yourself and write \"request\": \"attach\".",
  };
}
