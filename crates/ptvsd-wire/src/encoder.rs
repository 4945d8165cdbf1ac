use bytes::BytesMut;

use crate::{Command, Dialect, Event, Family, Unsupported, binary, json};

/// Bytes for a server from commands.
#[derive(Debug)]
pub struct CommandEncoder {
    dialect: Dialect,
    next_number: i64,
}

impl CommandEncoder {
    /// For a server that speaks `dialect`. Numbers begin at `first_number`.
    #[must_use]
    pub fn new(dialect: Dialect, first_number: i64) -> CommandEncoder {
        CommandEncoder {
            dialect,
            next_number: first_number,
        }
    }

    /// Appends the command, whole, and returns the number under which an
    /// answer to it would come.
    ///
    /// # Errors
    ///
    /// When the dialect cannot say it; then nothing was appended. A server's
    /// command loop ends at anything that it does not know.
    pub fn encode(&mut self, command: &Command, out: &mut BytesMut) -> Result<i64, Unsupported> {
        let number = self.next_number;
        match self.dialect.family() {
            Family::Binary => binary::encode_command(self.dialect, number, command, out)?,
            Family::Json => json::encode_command(self.dialect, number, command, out)?,
        }
        self.next_number += 1;
        Ok(number)
    }
}

/// Bytes for a debugger from events: the server's side of it.
#[derive(Debug)]
pub struct EventEncoder {
    dialect: Dialect,
    next_number: i64,
}

impl EventEncoder {
    /// For a debugger that speaks `dialect`.
    #[must_use]
    pub fn new(dialect: Dialect) -> EventEncoder {
        EventEncoder {
            dialect,
            next_number: 0,
        }
    }

    /// Appends the event, whole.
    ///
    /// # Errors
    ///
    /// When the dialect cannot say it; then nothing was appended.
    pub fn encode(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), Unsupported> {
        match self.dialect.family() {
            Family::Binary => binary::encode_event(self.dialect, event, out)?,
            Family::Json => json::encode_event(self.dialect, self.next_number, event, out)?,
        }
        self.next_number += 1;
        Ok(())
    }
}
