/// The longest message that is accepted, bytes. The servers cut every value
/// at 65,536 characters, but a frame list holds all locals of all frames and
/// one `print` is one message whatever its length, so this is generous; it
/// exists to end, not to shape, a stream that makes no sense.
pub const MAX_MESSAGE: usize = 256 * 1024 * 1024;

/// The longest header block of a JSON message that is accepted, bytes.
/// The servers write about 25.
pub const MAX_HEADER: usize = 4 * 1024;
