//! The schema from the protocol's npm package.
//!
//! `@vscode/debugprotocol` ships the protocol as TypeScript and no JSON
//! schema; `ts-json-schema-generator` makes one from it. Both come by npm into
//! a temporary folder, and the result is kept below `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

const PROTOCOL: &str = "@vscode/debugprotocol@1.68.0";
const GENERATOR: &str = "ts-json-schema-generator@2.4.0";

pub(super) fn from_npm() -> Result<String, String> {
    let kept = target_folder().join("debugAdapterProtocol-1.68.0.json");
    if let Ok(text) = std::fs::read_to_string(&kept) {
        return Ok(text);
    }
    // Several test programs may be here at once: each works in its own folder,
    // and the last rename wins.
    let folder = target_folder().join(format!("dap-schema-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let text = generate_in(&folder);
    let text = text.and_then(|text| {
        let whole = folder.join("whole.json");
        std::fs::write(&whole, &text)
            .and_then(|()| std::fs::rename(&whole, &kept))
            .map_err(|why| format!("{}: {why}", kept.display()))?;
        Ok(text)
    });
    // What is left there is only litter.
    let _ = std::fs::remove_dir_all(&folder);
    text
}

fn generate_in(folder: &Path) -> Result<String, String> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    run(Command::new(npm)
        .args(["install", "--prefix", "."])
        .args(["--ignore-scripts", "--no-audit", "--no-fund"])
        .args([PROTOCOL, GENERATOR])
        .current_dir(folder))?;
    run(Command::new("node")
        .arg("node_modules/ts-json-schema-generator/bin/ts-json-schema-generator.js")
        .args([
            "--path",
            "node_modules/@vscode/debugprotocol/lib/debugProtocol.d.ts",
        ])
        .args(["--type", "*", "--no-type-check", "--out", "schema.json"])
        .current_dir(folder))?;
    let text = std::fs::read_to_string(folder.join("schema.json"))
        .map_err(|why| format!("schema.json: {why}"))?;
    // The specification's own schema has no namespace.
    Ok(text.replace("DebugProtocol.", ""))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|why| format!("{program}: {why}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}: {}", output.status, said.trim()))
}

fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}
