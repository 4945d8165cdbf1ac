//! Where each thing runs.
//!
//! The program has a processor, and the editor another, with whatever is
//! between them. Left to the system, where they run is another matter of luck
//! in each round, and makes a step up to a third slower or faster: more than
//! what an adapter costs.

/// The two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    program: usize,
    editor: usize,
}

impl Processors {
    /// None where they cannot be chosen, or there is but one.
    #[cfg(target_os = "linux")]
    pub(crate) fn choose() -> Option<Processors> {
        use rustix::thread::{CpuSet, sched_getaffinity};

        let ours = sched_getaffinity(None).ok()?;
        let mut ours = (0..CpuSet::MAX_CPU).filter(|processor| ours.is_set(*processor));
        Some(Processors {
            program: ours.next()?,
            editor: ours.next()?,
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn choose() -> Option<Processors> {
        None
    }

    /// What this thread starts from now on belongs to the program.
    pub(crate) fn start_programs(self) -> std::io::Result<()> {
        go_to(self.program)
    }

    /// This thread, and what it starts from now on, belongs to the editor.
    pub(crate) fn start_editors(self) -> std::io::Result<()> {
        go_to(self.editor)
    }
}

#[cfg(target_os = "linux")]
fn go_to(processor: usize) -> std::io::Result<()> {
    let mut only = rustix::thread::CpuSet::new();
    only.set(processor);
    Ok(rustix::thread::sched_setaffinity(None, &only)?)
}

#[cfg(not(target_os = "linux"))]
fn go_to(_: usize) -> std::io::Result<()> {
    Ok(())
}
