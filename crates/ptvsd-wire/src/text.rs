use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A string as a server sent it.
///
/// Python 2's `str` holds any bytes, and its `unicode` may hold lone
/// surrogates, so neither fits a Rust string. The bytes are kept; what is
/// shown is decided by [`PyText::display`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PyText {
    bytes: Box<[u8]>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Unicode,
    Str,
}

impl PyText {
    /// Python 3's `str` or Python 2's `unicode`, encoded as UTF-8 (lone
    /// surrogates as WTF-8 has them).
    pub fn unicode(utf8: impl Into<Box<[u8]>>) -> PyText {
        PyText {
            bytes: utf8.into(),
            kind: Kind::Unicode,
        }
    }

    /// Python 2's `str`: any bytes.
    pub fn str(bytes: impl Into<Box<[u8]>>) -> PyText {
        PyText {
            bytes: bytes.into(),
            kind: Kind::Str,
        }
    }

    /// Whether this is Python 2's `str`.
    #[must_use]
    pub fn is_str(&self) -> bool {
        self.kind == Kind::Str
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The text for a person. A `str` that is not UTF-8 is read as Latin-1,
    /// as the protocol's own client did, so that no byte is hidden; what is
    /// broken in a `unicode` becomes U+FFFD.
    #[must_use]
    pub fn display(&self) -> Cow<'_, str> {
        match (std::str::from_utf8(&self.bytes), self.kind) {
            (Ok(text), _) => Cow::Borrowed(text),
            (Err(_), Kind::Unicode) => String::from_utf8_lossy(&self.bytes),
            (Err(_), Kind::Str) => Cow::Owned(self.bytes.iter().map(|&b| char::from(b)).collect()),
        }
    }
}

impl From<&str> for PyText {
    fn from(text: &str) -> Self {
        PyText::unicode(text.as_bytes())
    }
}

impl From<String> for PyText {
    fn from(text: String) -> Self {
        PyText::unicode(text.into_bytes())
    }
}

impl PartialEq<str> for PyText {
    fn eq(&self, other: &str) -> bool {
        *self.bytes == *other.as_bytes()
    }
}

impl fmt::Debug for PyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_str() {
            f.write_str("b")?;
        }
        write!(f, "\"{}\"", self.bytes.escape_ascii())
    }
}

impl fmt::Display for PyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

impl Serialize for PyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.display())
    }
}

impl<'de> Deserialize<'de> for PyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = PyText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<PyText, E> {
                Ok(PyText::from(text))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<PyText, E> {
                Ok(PyText::unicode(bytes))
            }
        }

        // As bytes, because that is how serde_json hands over a string with
        // lone surrogates ("\ud800"), which Python's json module writes.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_python_2_survive_and_are_shown() {
        assert_eq!(PyText::str(*b"caf\xc3\xa9").display(), "café");
        assert_eq!(PyText::str(*b"caf\xe9").display(), "café");
        assert_eq!(PyText::str(*b"caf\xe9").bytes(), b"caf\xe9");
    }

    #[test]
    fn a_lone_surrogate_in_json_is_no_error() {
        let text: PyText = serde_json::from_str(r#""a\ud800b""#).unwrap();
        assert_eq!(text.bytes(), b"a\xed\xa0\x80b");
        assert_eq!(text.display().chars().next(), Some('a'));
    }
}
