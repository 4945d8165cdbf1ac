//! What binary messages are made of.

use bytes::{BufMut, BytesMut};

use crate::coroutine::Source;
use crate::limits::MAX_MESSAGE;
use crate::{PyText, WireError};

/// Reads fields, waiting for their bytes.
pub(crate) struct Reader(pub(crate) Source);

impl Reader {
    /// The name that begins a message.
    pub(crate) async fn name(&self) -> Result<[u8; 4], WireError> {
        self.array().await
    }

    pub(crate) async fn array<const N: usize>(&self) -> Result<[u8; N], WireError> {
        self.0
            .take(N, |bytes| {
                let mut array = [0; N];
                array.copy_from_slice(bytes);
                array
            })
            .await
    }

    pub(crate) async fn int(&self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array().await?))
    }

    /// A number of things that follow, or of bytes.
    pub(crate) async fn count(&self, what: &'static str) -> Result<usize, WireError> {
        let count = self.int().await?;
        match usize::try_from(count) {
            Ok(count) if count <= MAX_MESSAGE => Ok(count),
            Ok(_) => Err(WireError::TooLong { limit: MAX_MESSAGE }),
            Err(_) => Err(WireError::BadField {
                what,
                found: count.to_string(),
            }),
        }
    }

    async fn bytes(&self) -> Result<Box<[u8]>, WireError> {
        let length = self.count("the length of a string").await?;
        self.0.take(length, |bytes| Box::from(bytes)).await
    }

    /// A string as servers send it: a letter that tells its type, then the
    /// length and the bytes. `N` is Python's `None`.
    pub(crate) async fn optional_text(&self) -> Result<Option<PyText>, WireError> {
        match self.array::<1>().await? {
            [b'N'] => Ok(None),
            [b'A'] => Ok(Some(PyText::str(self.bytes().await?))),
            [b'U'] => Ok(Some(PyText::unicode(self.bytes().await?))),
            [other] => Err(WireError::BadField {
                what: "the type of a string",
                found: format!("{other:#04x}"),
            }),
        }
    }

    /// The same where `None` makes no sense; it is read as an empty string.
    pub(crate) async fn text(&self) -> Result<PyText, WireError> {
        Ok(self.optional_text().await?.unwrap_or_default())
    }

    /// A string as debuggers send it: length and UTF-8, no type.
    pub(crate) async fn bare_text(&self) -> Result<PyText, WireError> {
        Ok(PyText::unicode(self.bytes().await?))
    }
}

/// Writes fields.
pub(crate) struct Writer<'a>(pub(crate) &'a mut BytesMut);

impl Writer<'_> {
    pub(crate) fn name(&mut self, name: &[u8; 4]) {
        self.0.put_slice(name);
    }

    pub(crate) fn int(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.int(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.put_slice(bytes);
    }

    pub(crate) fn optional_text(&mut self, text: Option<&PyText>) {
        match text {
            None => self.0.put_u8(b'N'),
            Some(text) => self.text(text),
        }
    }

    pub(crate) fn text(&mut self, text: &PyText) {
        self.0.put_u8(if text.is_str() { b'A' } else { b'U' });
        self.bytes(text.bytes());
    }

    pub(crate) fn bare_text(&mut self, text: &PyText) {
        self.bytes(text.bytes());
    }
}
