//! `ptvsd-bridge doctor`: what is right between here and a program, and what
//! is not.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use ptvsd_client::doctor::{Fact, Finding, NotTried, Step, examine};
use ptvsd_client::{Target, Trusted};

use crate::cli::{Doctor, remedy};

pub(crate) async fn run(arguments: &Doctor) -> Result<()> {
    let target = arguments.target.target()?;
    let findings = examine(&target, arguments.target.limit()?, arguments.attach).await;
    let mut wrong = 0;
    for (step, finding) in &findings {
        let (mark, text) = match finding {
            Finding::Right(fact) => ("ok", shown(fact, &target)),
            Finding::NotTried(why) => ("-", not_tried(*why)),
            Finding::Wrong(error) => {
                wrong += 1;
                let remedy = remedy(error).map(|remedy| format!("\n{remedy}"));
                ("NOT OK", format!("{error}{}", remedy.unwrap_or_default()))
            }
        };
        let text = text.replace('\n', &format!("\n{:18}", ""));
        #[allow(clippy::print_stdout, reason = "the command's result")]
        {
            println!("{mark:8}{:10}{text}", name(*step));
        }
    }
    if wrong > 0 {
        bail!("{target}: something is in the way, see above");
    }
    Ok(())
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Name => "name",
        Step::Port => "port",
        Step::Tls => "TLS",
        Step::Dialect => "dialect",
        Step::Secret => "secret",
        Step::Attach => "attach",
    }
}

fn shown(fact: &Fact, target: &Target) -> String {
    match fact {
        Fact::Addresses(addresses) => {
            let addresses: Vec<_> = addresses.iter().map(SocketAddr::ip).collect();
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{} is {}", target.host, addresses.join(", "))
        }
        Fact::Open => format!("{} accepts connections", target.port),
        Fact::Encrypted(channel) => {
            let mut text = channel.to_string();
            if channel.is_outdated {
                text.push_str(&format!(
                    "\n{} is all that the legacy servers speak: it keeps out who only listens, \
                     not surely who can change the data on the way",
                    channel.version
                ));
            }
            if let Trusted::Unverified(_) = channel.trusted {
                text.push_str("\nwhoever answers there gets the secret (--no-verify)");
            }
            text
        }
        Fact::Plain => {
            "none: the secret and all data are readable on the way; use ssh -L or tcps:// to \
             another machine"
                .to_owned()
        }
        Fact::Speaks(dialect) => format!("{dialect} (ptvsd {})", dialect.releases()),
        Fact::Admitted => "accepted".to_owned(),
        Fact::Attached => "attached and detached: the program runs on".to_owned(),
    }
}

fn not_tried(why: NotTried) -> String {
    match why {
        NotTried::NotReached => "not reached".to_owned(),
        NotTried::NotTrusted => {
            "not sent: whoever answers there is not believed (TLS, above)".to_owned()
        }
        NotTried::NotAsked => {
            "not tried: whether another debugger is attached cannot be known otherwise; --attach \
             attaches and detaches"
                .to_owned()
        }
    }
}
