//! `ptvsd-bridge list`: who is behind a target.

use anyhow::Result;
use serde_json::json;

use crate::cli::List;

pub(crate) async fn run(arguments: &List) -> Result<()> {
    let target = arguments.target.target()?;
    let (dialect, info) = ptvsd_client::process_info(&target, arguments.target.limit()?).await?;
    let executable = info.executable.display();
    let shown = executable
        .rsplit(['/', '\\'])
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("<python>");
    #[allow(clippy::print_stdout, reason = "the command's result")]
    if arguments.json {
        // A server is one process; there is room for more.
        let process = json!({
            "pid": info.process_id,
            "user": info.user.display(),
            "python": info.python.display(),
            "executable": executable,
            "dialect": dialect.version(),
            "ptvsd": dialect.releases(),
            "target": target.to_string(),
        });
        println!("{}", json!([process]));
    } else {
        println!("{shown} @ {target}");
        println!("  pid         {}", info.process_id);
        println!("  user        {}", or_unknown(&info.user.display()));
        println!("  Python      {}", info.python.display());
        println!("  executable  {}", or_unknown(&executable));
        println!("  dialect     {dialect} (ptvsd {})", dialect.releases());
    }
    Ok(())
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "(unknown)" } else { text }
}
