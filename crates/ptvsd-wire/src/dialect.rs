use std::fmt;

/// What a server calls its protocol version: the number after `PTVSDBG`, or
/// `debuggerProtocolVersion`. Servers accept exactly their own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// ptvsd 2.0.0.
    V2,
    /// ptvsd 2.1.0a1, 2.1.0b1, 2.1.0b2.
    V3,
    /// ptvsd 2.1.0.
    V4,
    /// ptvsd 2.2.0b1.
    V5,
    /// ptvsd 2.2.0 and 3.0.0, which cannot be told apart by the number.
    V6,
    /// ptvsd 3.1.0.
    V7,
    /// ptvsd 3.2.0 and 3.2.1.
    V8,
}

/// How messages are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Four-letter names, big-endian 64-bit integers, no message length.
    Binary,
    /// JSON objects, each after a `Content-Length` header.
    Json,
}

impl Dialect {
    /// Every dialect, oldest first.
    pub const ALL: [Dialect; 7] = [
        Dialect::V2,
        Dialect::V3,
        Dialect::V4,
        Dialect::V5,
        Dialect::V6,
        Dialect::V7,
        Dialect::V8,
    ];

    /// The dialect of this number, if it is one of the legacy ones.
    #[must_use]
    pub fn from_version(version: i64) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|d| d.version() == version)
    }

    /// The number on the wire.
    #[must_use]
    pub fn version(self) -> i64 {
        match self {
            Dialect::V2 => 2,
            Dialect::V3 => 3,
            Dialect::V4 => 4,
            Dialect::V5 => 5,
            Dialect::V6 => 6,
            Dialect::V7 => 7,
            Dialect::V8 => 8,
        }
    }

    /// Binary up to 6, JSON from 7 on.
    #[must_use]
    pub fn family(self) -> Family {
        if self < Dialect::V7 {
            Family::Binary
        } else {
            Family::Json
        }
    }

    /// The releases that speak it, for people.
    #[must_use]
    pub fn releases(self) -> &'static str {
        match self {
            Dialect::V2 => "2.0.0",
            Dialect::V3 => "2.1.0 pre-release",
            Dialect::V4 => "2.1.0",
            Dialect::V5 => "2.2.0 pre-release",
            Dialect::V6 => "2.2.0 or 3.0.0",
            Dialect::V7 => "3.1.0",
            Dialect::V8 => "3.2",
        }
    }

    /// Objects carry flags (and children their own expression) instead of a
    /// bare "expandable".
    #[must_use]
    pub fn has_object_flags(self) -> bool {
        self >= Dialect::V3
    }

    /// Objects carry their length, and `exec` a kind of representation.
    #[must_use]
    pub fn has_object_length(self) -> bool {
        self >= Dialect::V4
    }

    /// Breakpoints have pass counts, and their conditions a kind.
    #[must_use]
    pub fn has_pass_counts(self) -> bool {
        self >= Dialect::V5
    }

    /// Attaching takes debug options.
    #[must_use]
    pub fn has_attach_options(self) -> bool {
        self >= Dialect::V6
    }

    /// `exec` can name a module, and so run while no thread is stopped.
    #[must_use]
    pub fn has_module_execution(self) -> bool {
        self >= Dialect::V8
    }

    /// A second connection can run code while a debugger is attached
    /// ([`crate::repl`]).
    #[must_use]
    pub fn has_visits(self) -> bool {
        self <= Dialect::V7
    }

    /// A server with sessions before this one delivers each piece of output
    /// once for each of them (`protocol-notes/traps.md`, "output n times").
    #[must_use]
    pub fn repeats_output(self) -> bool {
        self >= Dialect::V6
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version())
    }
}
