//! `ptvsd-bridge rescue`: frees a program that a dead debugger has left.

use anyhow::{Result, bail};
use ptvsd_client::Rescue as Outcome;

use crate::cli::Rescue;

pub(crate) async fn run(arguments: &Rescue) -> Result<()> {
    let target = arguments.target.target()?;
    let told = match ptvsd_client::rescue(&target, arguments.target.limit()?).await? {
        Outcome::Freed => {
            "The program runs on as if the debugger had detached, and takes the next one."
        }
        Outcome::NotNeeded => "No debugger is attached there: nothing was to be done.",
        Outcome::Attended => {
            "A debugger of this kind is attached there. If it is dead, the program notices within \
             ten seconds and goes on by itself: nothing was done."
        }
        Outcome::NoWayIn(dialect) => bail!(
            "{target} is ptvsd {}, which has no way in when its debugger has died: what is stopped \
             there stays stopped, and no other debugger can attach, until the program is \
             restarted. (Sessions with the agent, which is the default, do not leave a program \
             like that.)",
            dialect.releases()
        ),
        Outcome::Failed => bail!(
            "{target} let the rescue in, and what was to be done there failed; \
             PTVSD_BRIDGE_LOG=debug tells more"
        ),
        Outcome::Waiting => bail!(
            "{target} accepted the rescue and has not begun with it. The program may be in the \
             middle of an import, or busy in native code; try again with a longer --timeout"
        ),
    };
    #[allow(clippy::print_stdout, reason = "the command's result")]
    {
        println!("{told}");
    }
    Ok(())
}
