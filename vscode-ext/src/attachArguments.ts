/**
 * Every argument of the adapter's `attach` request, once.
 *
 * The schema in package.json must describe exactly these (a test compares the two), and the
 * trace shows exactly what they allow. `a.b` is a member of an object, `a[].b` one of each item.
 */

/** How much of an argument's value a trace may show. */
export type TraceRule =
  | "whole"
  /** Without what stands before the last `@`: the place of a secret. */
  | "withoutSecret"
  | "never";

export interface AttachArgument {
  readonly name: string;
  /** What the adapter assumes; absent where there is no default. */
  readonly default?: boolean | number | string;
  readonly trace: TraceRule;
}

export const ATTACH_ARGUMENTS: readonly AttachArgument[] = [
  { name: "target", trace: "withoutSecret" },
  { name: "connect", trace: "whole" },
  { name: "connect.host", trace: "withoutSecret" },
  { name: "connect.port", default: 5678, trace: "whole" },
  { name: "host", trace: "withoutSecret" },
  { name: "port", default: 5678, trace: "whole" },
  { name: "secret", trace: "never" },
  // Only a name, but the field in which a secret itself is written by mistake.
  { name: "secretEnv", trace: "never" },
  { name: "pathMappings", trace: "whole" },
  { name: "pathMappings[].localRoot", trace: "whole" },
  { name: "pathMappings[].remoteRoot", trace: "whole" },
  { name: "stopOnEntry", default: false, trace: "whole" },
  { name: "justMyCode", default: true, trace: "whole" },
  { name: "redirectOutput", default: true, trace: "whole" },
  { name: "django", default: false, trace: "whole" },
  { name: "tls", trace: "whole" },
  { name: "tls.caFile", trace: "whole" },
  { name: "tls.fingerprint", trace: "whole" },
  { name: "tls.serverName", trace: "whole" },
  { name: "tls.minVersion", default: "1.0", trace: "whole" },
  { name: "tls.verify", default: true, trace: "whole" },
  { name: "connectTimeout", default: 3, trace: "whole" },
  { name: "agent", default: true, trace: "whole" },
  { name: "maxStop", default: 0, trace: "whole" },
  { name: "allowTerminate", default: false, trace: "whole" },
  { name: "breakOnSystemExitZero", default: false, trace: "whole" },
  { name: "showGlobals", default: true, trace: "whole" },
  { name: "logFile", trace: "whole" },
];
