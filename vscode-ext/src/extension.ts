import * as vscode from "vscode";

import { findAdapter, thisComputer } from "./adapterPath";
import { judgeConfiguration } from "./configuration";
import { DEBUG_TYPE, SETTINGS } from "./names";
import { traceLine } from "./trace";

export function activate(context: vscode.ExtensionContext): void {
  const traceChannel = vscode.window.createOutputChannel("ptvsd-bridge");
  context.subscriptions.push(
    traceChannel,
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, { resolveDebugConfiguration }),
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
      createDebugAdapterDescriptor: () => describeAdapter(context.extensionUri.fsPath),
    }),
    vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
      createDebugAdapterTracker: (session) => trackSession(session, traceChannel),
    }),
  );
}

/**
 * `null` makes VS Code open launch.json. A missing one is written with the initial
 * configurations of package.json; a provider's would be added to those, so there are none here.
 */
function resolveDebugConfiguration(
  _folder: vscode.WorkspaceFolder | undefined,
  configuration: vscode.DebugConfiguration,
): vscode.DebugConfiguration | null {
  const verdict = judgeConfiguration(configuration);
  switch (verdict.kind) {
    case "good":
      return configuration;
    case "none":
      return null;
    case "wrong":
      void vscode.window.showErrorMessage(verdict.message);
      return null;
  }
}

/** VS Code shows the error's message to the user and ends the session. */
function describeAdapter(extensionDirectory: string): vscode.DebugAdapterDescriptor {
  const setting = settings().get<string>("path", "");
  const adapter = findAdapter(setting, extensionDirectory, thisComputer());
  if (!adapter.found) {
    throw new Error(adapter.message);
  }
  return new vscode.DebugAdapterExecutable(adapter.path, ["dap"]);
}

function trackSession(
  session: vscode.DebugSession,
  channel: vscode.OutputChannel,
): vscode.DebugAdapterTracker | undefined {
  if (!settings().get<boolean>("trace", false)) {
    return undefined;
  }
  const write = (text: string): void => {
    channel.appendLine(`${new Date().toISOString()} [${session.name}] ${text}`);
  };
  return {
    onWillReceiveMessage: (message) => {
      write(traceLine("→", message));
    },
    onDidSendMessage: (message) => {
      write(traceLine("←", message));
    },
    onError: (error) => {
      write(`adapter failed: ${error.message}`);
    },
    onExit: (code, signal) => {
      write(`adapter ended: ${signal ?? `exit status ${String(code)}`}`);
    },
  };
}

function settings(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration(SETTINGS);
}
