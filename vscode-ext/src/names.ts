/** Names that package.json contributes and the code refers to. */

export const DEBUG_TYPE = "ptvsd-bridge";
/** Section of the settings; its members are `path` and `trace`. */
export const SETTINGS = "ptvsd-bridge";
export const PATH_SETTING = "ptvsd-bridge.path";
