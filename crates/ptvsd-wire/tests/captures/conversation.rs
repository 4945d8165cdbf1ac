//! The server's side of a conversation, from its first byte to its last.

use std::mem;

use ptvsd_wire::handshake::{HandshakeDecoder, Hello, Reply, Request};
use ptvsd_wire::{Dialect, Event, EventDecoder};

/// What the connection was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Info,
    Session,
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Hello(Hello),
    Reply(Reply),
    Event(Event),
}

impl Item {
    /// What the server speaks, from its greeting.
    pub(crate) fn dialect(&self) -> Option<Dialect> {
        match self {
            Item::Hello(Hello::Legacy(dialect)) => Some(*dialect),
            _ => None,
        }
    }
}

pub(crate) struct Conversation {
    purpose: Purpose,
    stage: Stage,
}

enum Stage {
    Hello(HandshakeDecoder<Hello>),
    Secret(Dialect, HandshakeDecoder<Reply>),
    Purpose(Dialect, HandshakeDecoder<Reply>),
    Events(EventDecoder),
    Over,
}

impl Conversation {
    pub(crate) fn new(purpose: Purpose) -> Conversation {
        Conversation {
            purpose,
            stage: Stage::Hello(HandshakeDecoder::hello()),
        }
    }

    /// What is complete with these bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Item> {
        match &mut self.stage {
            Stage::Hello(decoder) => decoder.feed(bytes),
            Stage::Secret(_, decoder) | Stage::Purpose(_, decoder) => decoder.feed(bytes),
            Stage::Events(decoder) => decoder.feed(bytes),
            Stage::Over => assert!(bytes.is_empty(), "more than the server had to say"),
        }
        let mut items = Vec::new();
        while let Some(item) = self.next() {
            items.push(item);
        }
        items
    }

    pub(crate) fn is_inside_message(&self) -> bool {
        match &self.stage {
            Stage::Events(decoder) => decoder.is_inside_message(),
            Stage::Over => false,
            _ => true,
        }
    }

    fn next(&mut self) -> Option<Item> {
        match &mut self.stage {
            Stage::Hello(decoder) => {
                let hello = decoder.next().unwrap()?;
                let item = Item::Hello(hello);
                let dialect = item.dialect().expect("a legacy server");
                let secret = Request::Authenticate { secret: "".into() };
                let next = Stage::Secret(dialect, HandshakeDecoder::reply(dialect, &secret));
                self.go_on(next);
                Some(item)
            }
            Stage::Secret(dialect, decoder) => {
                let reply = decoder.next().unwrap()?;
                let request = match self.purpose {
                    Purpose::Info => Request::Info,
                    Purpose::Session => Request::Attach {
                        options: String::new(),
                    },
                };
                let dialect = *dialect;
                let next = Stage::Purpose(dialect, HandshakeDecoder::reply(dialect, &request));
                self.go_on(next);
                Some(Item::Reply(reply))
            }
            Stage::Purpose(dialect, decoder) => {
                let reply = decoder.next().unwrap()?;
                let next = match self.purpose {
                    Purpose::Info => Stage::Over,
                    Purpose::Session => Stage::Events(EventDecoder::new(*dialect)),
                };
                self.go_on(next);
                Some(Item::Reply(reply))
            }
            Stage::Events(decoder) => decoder.next().unwrap().map(Item::Event),
            Stage::Over => None,
        }
    }

    /// The next decoder gets what this one has left.
    fn go_on(&mut self, next: Stage) {
        let rest = match mem::replace(&mut self.stage, next) {
            Stage::Hello(decoder) => decoder.into_rest(),
            Stage::Secret(_, decoder) | Stage::Purpose(_, decoder) => decoder.into_rest(),
            Stage::Events(_) | Stage::Over => return,
        };
        match &mut self.stage {
            Stage::Hello(_) => {}
            Stage::Secret(_, decoder) | Stage::Purpose(_, decoder) => decoder.feed(&rest),
            Stage::Events(decoder) => decoder.feed(&rest),
            Stage::Over => assert!(rest.is_empty(), "more than the server had to say"),
        }
    }
}
