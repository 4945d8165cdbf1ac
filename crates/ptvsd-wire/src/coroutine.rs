//! Decoders as straight-line code that waits for bytes.
//!
//! A [`Coroutine`] is an `async fn` without a runtime: it reads from a
//! [`Source`], is suspended where that has too few bytes, and is polled again
//! after more were fed. All that it had decoded by then stays decoded.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};

use crate::WireError;
use crate::limits::MAX_MESSAGE;

/// Bytes that have arrived and are not decoded yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source(Arc<Mutex<Arrived>>);

#[derive(Debug, Default)]
struct Arrived {
    bytes: BytesMut,
    /// Of the message that is being decoded.
    consumed: usize,
}

impl Source {
    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn feed(&self, bytes: &[u8]) {
        self.arrived().bytes.extend_from_slice(bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.arrived().bytes.is_empty()
    }

    /// Takes what is there, undecoded.
    pub(crate) fn drain(&self) -> BytesMut {
        self.arrived().bytes.split()
    }

    fn begin_message(&self) {
        self.arrived().consumed = 0;
    }

    /// Waits for `count` bytes and hands them to `read`. Memory grows with
    /// what has arrived, never with what was announced.
    pub(crate) async fn take<T>(
        &self,
        count: usize,
        mut read: impl FnMut(&[u8]) -> T,
    ) -> Result<T, WireError> {
        poll_fn(|_| {
            let mut arrived = self.arrived();
            if count > MAX_MESSAGE.saturating_sub(arrived.consumed) {
                return Poll::Ready(Err(WireError::TooLong { limit: MAX_MESSAGE }));
            }
            let Some(bytes) = arrived.bytes.get(..count) else {
                return Poll::Pending;
            };
            let value = read(bytes);
            arrived.bytes.advance(count);
            arrived.consumed += count;
            Poll::Ready(Ok(value))
        })
        .await
    }

    /// Waits for `end` and hands over what precedes it, `limit` bytes at most
    /// (however the bytes arrived).
    pub(crate) async fn take_until<T>(
        &self,
        end: &[u8],
        limit: usize,
        mut read: impl FnMut(&[u8]) -> T,
    ) -> Result<T, WireError> {
        let mut searched = 0;
        poll_fn(|_| {
            let mut arrived = self.arrived();
            let searchable = arrived.bytes.len().min(limit + end.len());
            let from = arrived.bytes.get(searched..searchable).unwrap_or_default();
            if let Some(at) = from.windows(end.len()).position(|window| window == end) {
                let before = searched + at;
                let value = read(arrived.bytes.get(..before).unwrap_or_default());
                arrived.bytes.advance(before + end.len());
                return Poll::Ready(Ok(value));
            }
            if searchable == limit + end.len() {
                return Poll::Ready(Err(WireError::TooLong { limit }));
            }
            searched = (searchable + 1).saturating_sub(end.len());
            Poll::Pending
        })
        .await
    }
}

type Decoding<T> = Pin<Box<dyn Future<Output = Result<T, WireError>> + Send>>;

/// One message after the other, each by a fresh run of `decode`.
pub(crate) struct Coroutine<T> {
    source: Source,
    decode: Box<dyn FnMut(Source) -> Decoding<T> + Send>,
    under_way: Option<Decoding<T>>,
    failed: Option<WireError>,
}

impl<T> Coroutine<T> {
    pub(crate) fn new<F>(mut decode: impl FnMut(Source) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<T, WireError>> + Send + 'static,
    {
        Coroutine {
            source: Source::default(),
            decode: Box::new(move |source| Box::pin(decode(source))),
            under_way: None,
            failed: None,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.source.feed(bytes);
    }

    /// The next message, if it is complete. After an error, that error again.
    pub(crate) fn next(&mut self) -> Result<Option<T>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.under_way.is_none() {
            if self.source.is_empty() {
                return Ok(None);
            }
            self.source.begin_message();
        }
        let under_way = self
            .under_way
            .get_or_insert_with(|| (self.decode)(self.source.clone()));
        match under_way
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => Ok(None),
            Poll::Ready(result) => {
                self.under_way = None;
                self.failed = result.as_ref().err().cloned();
                result.map(Some)
            }
        }
    }

    /// Whether a message was begun and is not complete: a stream that ends
    /// here was cut.
    pub(crate) fn is_inside_message(&self) -> bool {
        self.under_way.is_some() || !self.source.is_empty()
    }

    /// What has arrived after the last message.
    pub(crate) fn into_rest(self) -> BytesMut {
        self.source.drain()
    }
}

impl<T> std::fmt::Debug for Coroutine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coroutine")
            .field("source", &self.source)
            .field("inside_message", &self.is_inside_message())
            .finish_non_exhaustive()
    }
}
