//! A visit: the second connection that dialects 2 to 7 accept while a debugger
//! is attached ([`handshake::Request::Repl`](crate::handshake::Request)), for
//! Visual Studio's interactive window. It runs code in any module, on threads
//! of its own. From here on the binary words below are spoken, whatever the
//! dialect.
//!
//! Only what a visit of ours needs is here: `protocol-notes/agent.md` says why
//! code is run by [`members`] and not by `run`.

use bytes::BytesMut;

use crate::PyText;
use crate::binary::Writer;

/// Makes a module the one in which code runs. There is no answer.
pub fn set_module(name: &str, out: &mut BytesMut) {
    let mut w = Writer(out);
    w.name(b"setm");
    w.bare_text(&name.into());
}

/// Evaluates an expression and asks for the members of its value.
pub fn members(expression: &str, out: &mut BytesMut) {
    let mut w = Writer(out);
    w.name(b"mems");
    w.bare_text(&expression.into());
}

/// What the server says during a visit, as far as anybody needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The prompt has changed, or is there for the first time.
    Prompt,
    /// Modules were loaded. After the first prompt this says that nothing more
    /// comes by itself.
    ModulesChanged,
    /// To [`members`]: the class of the value; its members are left out.
    Members {
        /// The name of its class.
        class: PyText,
    },
    /// To [`members`]: the expression raised.
    MembersFailed,
}

/// The longest name of a class that is looked for.
const LONGEST_CLASS: usize = 1000;

/// Finds what is needed among the server's bytes.
///
/// This looks for words instead of reading message by message, because
/// messages may be cut: the server sets and clears a time-out on the socket
/// while another of its threads sends, and on Python 2 that ends the sending
/// in the middle (seen with 2.2.0). A program that prints one of the words is
/// taken for the server; what comes of that is a visit that fails.
#[derive(Debug, Default)]
pub struct VisitScanner(Vec<u8>);

impl VisitScanner {
    /// Adds bytes that have arrived, however they were cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next of what is looked for, if it has arrived.
    pub fn find(&mut self) -> Option<Said> {
        loop {
            let at = self
                .0
                .windows(WORD)
                .position(|word| matches!(word, b"PRPC" | b"MODC" | b"MRES" | b"MERR"));
            let Some(at) = at else {
                // A word may have come in part.
                let whole = self.0.len().saturating_sub(WORD - 1);
                self.0.drain(..whole);
                return None;
            };
            self.0.drain(..at);
            let rest = self.0.get(WORD..).unwrap_or_default();
            let (said, length) = match self.0.first_chunk() {
                Some(b"PRPC") => (Said::Prompt, 0),
                Some(b"MODC") => (Said::ModulesChanged, 0),
                Some(b"MERR") => (Said::MembersFailed, 0),
                _ => match class_name(rest) {
                    ClassName::Whole { class, length } => (Said::Members { class }, length),
                    ClassName::Part => return None,
                    ClassName::None => {
                        self.0.drain(..WORD);
                        continue;
                    }
                },
            };
            self.0.drain(..WORD + length);
            return Some(said);
        }
    }
}

const WORD: usize = 4;

enum ClassName {
    Whole { class: PyText, length: usize },
    Part,
    None,
}

/// The text that bytes begin with.
fn class_name(bytes: &[u8]) -> ClassName {
    let Some((kind, rest)) = bytes.split_first() else {
        return ClassName::Part;
    };
    let Some((length, rest)) = rest.split_first_chunk() else {
        return ClassName::Part;
    };
    match usize::try_from(i64::from_be_bytes(*length)) {
        Ok(length) if length <= LONGEST_CLASS && matches!(kind, b'A' | b'U') => {
            match rest.get(..length) {
                Some(name) => ClassName::Whole {
                    class: PyText::str(name.to_vec()),
                    length: 1 + 8 + length,
                },
                None => ClassName::Part,
            }
        }
        _ => ClassName::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_the_servers_read_them() {
        let mut out = BytesMut::new();
        set_module("a.b", &mut out);
        members("f()", &mut out);
        assert_eq!(
            &out[..],
            b"setm\0\0\0\0\0\0\0\x03a.bmems\0\0\0\0\0\0\0\x03f()"
        );
    }

    fn found(said: &[u8], split: usize) -> Vec<Said> {
        let (before, after) = said.split_at(split);
        let mut scanner = VisitScanner::default();
        let mut found = Vec::new();
        for piece in [before, after] {
            scanner.feed(piece);
            while let Some(one) = scanner.find() {
                found.push(one);
            }
        }
        found
    }

    #[test]
    fn a_visit_is_understood_however_it_is_cut() {
        let mut said = b"PRPC".to_vec();
        said.extend(b"A\0\0\0\0\0\0\0\x04>>> U\0\0\0\0\0\0\0\x04... \0\0\0\0\0\0\0\x01");
        said.extend(b"STDOA\0\0\0\0\0\0\0\x02hi");
        said.extend(b"MODC");
        said.extend(b"MRESA\0\0\0\0\0\0\0\x04done");
        said.extend(b"\0\0\0\0\0\0\0\x01A\0\0\0\0\0\0\0\x01aA\0\0\0\0\0\0\0\x01t");
        said.extend(b"\0\0\0\0\0\0\0\0MERR");
        let expected = [
            Said::Prompt,
            Said::ModulesChanged,
            Said::Members {
                class: PyText::str(*b"done"),
            },
            Said::MembersFailed,
        ];
        for split in 0..=said.len() {
            assert_eq!(found(&said, split), expected, "cut at {split}");
        }
    }

    #[test]
    fn a_message_that_the_server_has_cut_off_does_no_harm() {
        let said = b"PRPCA\0\0\0\0\0\0\0\x04STDOA\0\0\0\0\0\0\0\x02hiMRESXMRESA\0\0\0\0\0\0\0\x01c";
        let expected = [
            Said::Prompt,
            Said::Members {
                class: PyText::str(*b"c"),
            },
        ];
        for split in 0..=said.len() {
            assert_eq!(found(said, split), expected, "cut at {split}");
        }
    }
}
