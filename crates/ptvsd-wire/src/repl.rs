//! A visit: the second connection that dialects 2 to 7 accept while a debugger
//! is attached ([`handshake::Request::Repl`](crate::handshake::Request)), for
//! Visual Studio's interactive window. It runs code in any module, on threads
//! of its own. From here on the binary words below are spoken, whatever the
//! dialect.
//!
//! Only what a visit of ours needs is here: `protocol-notes/agent.md` says why
//! code is run by [`members`] and not by `run`.

use bytes::BytesMut;

use crate::binary::{Reader, Writer};
use crate::coroutine::{Coroutine, Source};
use crate::{PyText, WireError};

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

/// What the server says during a visit.
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
    /// The program printed, or something else that a visit does not ask for.
    Other,
}

/// What the server says, from its bytes.
#[derive(Debug)]
pub struct VisitDecoder(Coroutine<Said>);

impl Default for VisitDecoder {
    fn default() -> VisitDecoder {
        VisitDecoder(Coroutine::new(decode))
    }
}

impl VisitDecoder {
    /// Adds bytes that have arrived, however they were cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// The next message, if all of it has arrived.
    ///
    /// # Errors
    ///
    /// When the bytes are none of this protocol; then for ever.
    #[allow(
        clippy::should_implement_trait,
        reason = "fallible, and None is no end"
    )]
    pub fn next(&mut self) -> Result<Option<Said>, WireError> {
        self.0.next()
    }
}

async fn decode(source: Source) -> Result<Said, WireError> {
    let r = Reader(source);
    Ok(match &r.name().await? {
        b"PRPC" => {
            r.text().await?;
            r.text().await?;
            r.int().await?;
            Said::Prompt
        }
        b"MODC" => Said::ModulesChanged,
        b"MRES" => {
            let class = r.text().await?;
            for _ in 0..2 {
                for _ in 0..r.count("a number of members").await? {
                    r.text().await?;
                    r.text().await?;
                }
            }
            Said::Members { class }
        }
        b"MERR" => Said::MembersFailed,
        b"STDO" | b"STDE" | b"CHWD" => {
            r.text().await?;
            Said::Other
        }
        b"DONE" | b"ERRE" | b"EXIT" | b"RDLN" | b"DETC" => Said::Other,
        other => {
            return Err(WireError::UnknownMessage(other.escape_ascii().to_string()));
        }
    })
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
            Said::Other,
            Said::ModulesChanged,
            Said::Members {
                class: PyText::str(*b"done"),
            },
            Said::MembersFailed,
        ];
        for split in 0..=said.len() {
            let (before, after) = said.split_at(split);
            let mut decoder = VisitDecoder::default();
            let mut back = Vec::new();
            for piece in [before, after] {
                decoder.feed(piece);
                while let Some(one) = decoder.next().unwrap() {
                    back.push(one);
                }
            }
            assert_eq!(back, expected, "cut at {split}");
        }
    }
}
