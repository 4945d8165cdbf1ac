use crate::coroutine::Coroutine;
use crate::{Command, Dialect, Event, Family, WireError, binary, json};

/// Events from the bytes of a server, as they arrive.
#[derive(Debug)]
pub struct EventDecoder(Coroutine<Event>);

impl EventDecoder {
    /// For a server that speaks `dialect`.
    #[must_use]
    pub fn new(dialect: Dialect) -> EventDecoder {
        EventDecoder(match dialect.family() {
            Family::Binary => Coroutine::new(move |source| binary::decode_event(source, dialect)),
            Family::Json => Coroutine::new(json::decode_event),
        })
    }

    /// Adds bytes that have arrived, however they were cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// The next event, if all of it has arrived.
    ///
    /// # Errors
    ///
    /// When the bytes are none of the dialect's; then for ever.
    #[allow(
        clippy::should_implement_trait,
        reason = "fallible, and None is no end"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, WireError> {
        self.0.next()
    }

    /// Whether a stream that ends now was cut inside a message.
    #[must_use]
    pub fn is_inside_message(&self) -> bool {
        self.0.is_inside_message()
    }
}

/// Commands from the bytes of a debugger: the server's side of it.
#[derive(Debug)]
pub struct CommandDecoder(Coroutine<(i64, Command)>);

impl CommandDecoder {
    /// For a debugger that speaks `dialect`.
    #[must_use]
    pub fn new(dialect: Dialect) -> CommandDecoder {
        CommandDecoder(match dialect.family() {
            Family::Binary => Coroutine::new(move |source| binary::decode_command(source, dialect)),
            Family::Json => Coroutine::new(json::decode_command),
        })
    }

    /// Adds bytes that have arrived, however they were cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// The next command and its number (0 where the dialect gives it none),
    /// if all of it has arrived.
    ///
    /// # Errors
    ///
    /// When the bytes are none of the dialect's; then for ever.
    #[allow(
        clippy::should_implement_trait,
        reason = "fallible, and None is no end"
    )]
    pub fn next(&mut self) -> Result<Option<(i64, Command)>, WireError> {
        self.0.next()
    }
}
