import { ATTACH_ARGUMENTS, type TraceRule } from "./attachArguments";

/** Longest line of a trace, in characters; a frame's variables can fill megabytes. */
const LONGEST_LINE = 4000;
const HIDDEN = "(hidden)";

const RULES = new Map<string, TraceRule>([
  ...ATTACH_ARGUMENTS.map(({ name, trace }): [string, TraceRule] => [name, trace]),
  ["name", "whole"],
  ["type", "whole"],
  ["request", "whole"],
  ["noDebug", "whole"],
]);

/** One line for one message of the Debug Adapter Protocol, with no secret of the configuration in it. */
export function traceLine(direction: "→" | "←", message: unknown): string {
  const text = JSON.stringify(withoutSecrets(message));
  const shown = text.length <= LONGEST_LINE ? text : `${text.slice(0, LONGEST_LINE)}… (${String(text.length)} characters)`;
  return `${direction} ${shown}`;
}

function withoutSecrets(message: unknown): unknown {
  if (!isObject(message) || message["type"] !== "request") {
    return message;
  }
  switch (message["command"]) {
    case "attach":
    case "launch":
      return { ...message, arguments: shown("", message["arguments"]) };
    case "restart":
      return { ...message, arguments: { arguments: shown("", nested(message["arguments"])) } };
    default:
      return message;
  }
}

function nested(restartArguments: unknown): unknown {
  return isObject(restartArguments) ? restartArguments["arguments"] : undefined;
}

/** Shows known arguments only: an unknown one may be a `secret` that was misspelt. */
function shown(name: string, value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((item: unknown) => shown(`${name}[]`, item));
  }
  if (isObject(value)) {
    const prefix = name === "" ? "" : `${name}.`;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shown(prefix + key, member)]));
  }
  if (value === undefined || value === null) {
    return value;
  }
  switch (RULES.get(name)) {
    case "whole":
      return value;
    case "withoutSecret":
      return typeof value === "string" ? hideSecret(value) : HIDDEN;
    case "never":
    case undefined:
      return HIDDEN;
  }
}

/** `tcp://secret@host:5678` becomes `tcp://(hidden)@host:5678`. */
function hideSecret(target: string): string {
  const at = target.lastIndexOf("@");
  if (at < 0) {
    return target;
  }
  const scheme = /^tcps?:\/\//i.exec(target)?.[0] ?? "";
  return `${scheme}${HIDDEN}${target.slice(at)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
