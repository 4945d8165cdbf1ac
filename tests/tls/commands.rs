//! The other commands, and whom they give the secret.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use testkit::editor::SECRET;
use testkit::matrix::Server;
use testkit::programs::WORKING;
use testkit::terminator::Versions;

use crate::setup::{ADAPTER, Encrypted, Terminated, secrets, ticks};

fn run(arguments: &[&str], variables: &[(&str, &Path)]) -> Result<Output> {
    Ok(Command::new(ADAPTER)
        .args(arguments)
        .env_remove("PTVSD_SECRET")
        .env_remove("SSL_CERT_DIR")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()?)
}

/// What a command printed, both streams; it has ended as expected, and the
/// secret is not in it.
fn printed(output: &Output, success: bool, says: &[&str]) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() == success, "{text}");
    ensure!(!text.contains(SECRET), "{text}");
    for part in says {
        ensure!(text.contains(part), "no {part:?} in: {text}");
    }
    Ok(text)
}

pub(crate) async fn run_all(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &WORKING)?;
    let behind = Terminated::start(&server, &WORKING, Versions::Only13).await?;
    let dialect = format!("dialect   {}", server.release.dialect());
    for (program, identity, target, version) in [
        (&own.program, &own.identity, own.target(), "TLSv1 "),
        (
            &behind.program,
            &behind.identity,
            behind.target(),
            "TLSv1.3 ",
        ),
    ] {
        let target = target.as_str();
        let file = identity.certificate.to_str().context("a path")?;

        // Not believed: nothing is said but that.
        let output = run(&["list", target], &[])?;
        let said = printed(&output, false, &["self-signed", "The secret was not sent"])?;
        let (_, flags) = said.rsplit_once("accept it: ").context("no flags")?;
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let output = run(&["doctor", target], &[])?;
        let text = printed(
            &output,
            false,
            &[
                "NOT OK  TLS",
                "self-signed",
                &identity.fingerprint(),
                "accept it: --fingerprint",
                &format!("ok      {dialect}"),
                "-       secret    not sent",
                "-       attach    not reached",
            ],
        )?;
        ensure!(text.matches("NOT OK").count() == 1, "{text}");
        printed(&run(&["rescue", target], &[])?, false, &["self-signed"])?;
        let is_first = !std::ptr::eq(program, &behind.program);
        ensure!(is_first || secrets(Some(&behind.terminator)) == 0);

        // Believed: by the flags that were named, by the file, by the system.
        let pid = program.pid().to_string();
        printed(
            &run(&[&["list", target], &flags[..]].concat(), &[])?,
            true,
            &[&pid],
        )?;
        let by_file = ["list", target, "--ca-file", file];
        printed(&run(&by_file, &[])?, true, &[&pid])?;
        let by_system = [("SSL_CERT_FILE", identity.certificate.as_path())];
        printed(&run(&["list", target], &by_system)?, true, &[&pid])?;
        let output = run(&["doctor", target], &by_system)?;
        let says = [
            version,
            "trusted by this system",
            "ok      secret",
            "not tried",
        ];
        printed(&output, true, &says)?;
        let output = run(&["doctor", target, "--ca-file", file, "--attach"], &[])?;
        let says = [version, "trusted by the given file", "ok      attach"];
        printed(&output, true, &says)?;
        let output = run(&["rescue", target, "--ca-file", file], &[])?;
        let is_last = server.release.dialect() == 8;
        let says = if is_last { "no way in" } else { "No debugger" };
        printed(&output, !is_last, &[says])?;
        ticks(program)?;

        // What cannot be read is named.
        let absent = ["list", target, "--ca-file", "/nowhere/cert.cer"];
        printed(&run(&absent, &[])?, false, &["/nowhere/cert.cer"])?;
        let key = identity.key.to_str().context("a path")?;
        let no_certificate = ["list", target, "--ca-file", key];
        printed(
            &run(&no_certificate, &[])?,
            false,
            &["holds no certificate"],
        )?;
        printed(&run(&by_file, &[])?, true, &[&pid])?;
    }
    Ok(())
}
