//! One macro, so that "absent, never null" is written once and not on each of
//! some two hundred optional fields.

/// Defines message structs from their required and their optional fields.
///
/// Names are camelCase on the wire. An optional field is an [`Option`] that
/// leaves no trace when it is `None`: the schema forbids null for all of them.
macro_rules! wire_struct {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(required { $( $(#[$rmeta:meta])* $required:ident: $rty:ty ),* $(,)? })?
            $(optional { $( $(#[$ometa:meta])* $optional:ident: $oty:ty ),* $(,)? })?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($( $(#[$rmeta])* pub $required: $rty, )*)?
            $($(
                $(#[$ometa])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $optional: Option<$oty>,
            )*)?
        }
    )*};
}

pub(crate) use wire_struct;
