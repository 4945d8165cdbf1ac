use std::ops::BitOr;

use crate::PyText;

/// A Python value as a server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `repr()`, cut by the server; absent when only the length was asked for.
    pub repr: Option<PyText>,
    /// `hex()`, where the value has one. Of a `bool` too, which nobody wants.
    pub hex: Option<PyText>,
    /// Name of the type; empty for what the server made up to hold children.
    pub type_name: PyText,
    /// `len()`, or 0 where there is none; absent below dialect 4.
    pub length: Option<i64>,
    /// What else is known; below dialect 3 only [`ObjectFlags::EXPANDABLE`].
    pub flags: ObjectFlags,
}

impl Object {
    /// Whether asking for children may give any.
    #[must_use]
    pub fn is_expandable(&self) -> bool {
        self.flags.contains(ObjectFlags::EXPANDABLE)
    }
}

/// Properties of an [`Object`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ObjectFlags(pub i64);

impl ObjectFlags {
    /// It may have children.
    pub const EXPANDABLE: ObjectFlags = ObjectFlags(1);
    /// A made-up child whose expansion calls a method, such as `items()`.
    pub const METHOD_CALL: ObjectFlags = ObjectFlags(2);
    /// A made-up child whose expansion has effects, such as running an iterator.
    pub const SIDE_EFFECTS: ObjectFlags = ObjectFlags(4);
    /// `repr` is the raw text and not a representation.
    pub const RAW: ObjectFlags = ObjectFlags(8);
    /// The value has a raw text.
    pub const HAS_RAW_REPR: ObjectFlags = ObjectFlags(16);

    /// Whether all of `other` is set.
    #[must_use]
    pub fn contains(self, other: ObjectFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for ObjectFlags {
    type Output = ObjectFlags;

    fn bitor(self, other: ObjectFlags) -> ObjectFlags {
        ObjectFlags(self.0 | other.0)
    }
}

/// One child of an expanded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// How the server names it: `attribute`, `[0]`, `['key']`, `items()`.
    pub name: PyText,
    /// How it is reached from its parent.
    pub key: ChildKey,
    /// The value.
    pub object: Object,
}

/// How a child is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildKey {
    /// By this expression, made by the server (dialect 3 on).
    Expression(PyText),
    /// Not at all: the server's own line that says that there are more.
    Unreachable,
    /// As an attribute of the parent (dialect 2).
    Attribute,
    /// By subscripting the parent with the name (dialect 2).
    Subscript,
    /// Only by iterating over the parent; the name holds the position
    /// (dialect 2).
    Position,
}
