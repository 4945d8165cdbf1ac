//! From a file's bytes to a text that the parser understands.
//!
//! The parser's grammar is that of Python 3 with most of Python 2's
//! statements. What is left of the differences is evened out here, line by
//! line, so that line numbers stay.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::Language;

/// A source text in two readings with the same offsets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// As the programmer wrote it, but for line ends and indentation.
    pub(crate) written: String,
    /// As the parser is to see it.
    pub(crate) parsed: String,
}

impl Text {
    pub(crate) fn new(source: &[u8], language: Language) -> Text {
        let written = with_plain_lines(&decode(source, language));
        let parsed = match language {
            Language::Python2 => without_backticks(&with_names_for(&written, &PYTHON_2_NAMES)),
            Language::Python3 => with_names_for(&written, &[]),
        };
        Text { written, parsed }
    }
}

/// Words that are names in Python 2 and the grammar keeps for itself.
const PYTHON_2_NAMES: [&str; 3] = ["async", "await", "nonlocal"];

/// What is not in the declared encoding becomes something else that is no
/// syntax: a file must be readable for its program's sake, not for ours.
fn decode(source: &[u8], language: Language) -> Cow<'_, str> {
    let (encoding, source) = match source.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (UTF_8, rest),
        None => (declared_encoding(source, language), source),
    };
    encoding.decode_without_bom_handling(source).0
}

/// As PEP 263 has it: in a comment in one of the first two lines.
fn declared_encoding(source: &[u8], language: Language) -> &'static Encoding {
    let default = match language {
        // ASCII, so that any superset of it will do.
        Language::Python2 => WINDOWS_1252,
        Language::Python3 => UTF_8,
    };
    for line in source.split(|byte| matches!(byte, b'\n' | b'\r')).take(2) {
        let line = String::from_utf8_lossy(line);
        let Some(comment) = line
            .trim_start_matches([' ', '\t', '\x0c'])
            .strip_prefix('#')
        else {
            if line.trim().is_empty() {
                continue;
            }
            break;
        };
        if let Some(name) = encoding_named_in(comment) {
            return encoding_of(name).unwrap_or(WINDOWS_1252);
        }
    }
    default
}

fn encoding_named_in(comment: &str) -> Option<&str> {
    let mut rest = comment;
    loop {
        let (_, after) = rest.split_once("coding")?;
        rest = after;
        if let Some(value) = after.strip_prefix([':', '=']) {
            let value = value.trim_start_matches([' ', '\t']);
            let end = value
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
                .unwrap_or(value.len());
            return value.get(..end).filter(|name| !name.is_empty());
        }
    }
}

/// By the names that Python has for encodings. What is unknown is mostly one
/// byte a character and contains ASCII.
fn encoding_of(name: &str) -> Option<&'static Encoding> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    // Emacs adds the line ends.
    let name = ["-unix", "-dos", "-mac"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(&name);
    let label = match name {
        "utf8" | "utf-8-sig" | "u8" => "utf-8",
        "cp932" | "ms932" | "mskanji" | "sjis" | "shiftjis" => "shift_jis",
        "cp936" | "ms936" | "euccn" | "gb2312-80" => "gbk",
        "cp949" | "ms949" | "uhc" | "euckr" => "euc-kr",
        "cp950" | "ms950" => "big5",
        "eucjp" | "ujis" => "euc-jp",
        "iso2022-jp" | "iso2022jp" => "iso-2022-jp",
        other => other,
    };
    Encoding::for_label(label.as_bytes())
}

/// One kind of line ends, and of indentation: a tab goes to the next multiple
/// of eight, and a form feed begins the line anew.
fn with_plain_lines(text: &str) -> String {
    const TAB: usize = 8;
    let mut plain = String::with_capacity(text.len());
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in text.split_inclusive('\n') {
        let mut width = 0;
        let mut rest = line.chars();
        loop {
            let here = rest.as_str();
            match rest.next() {
                Some(' ') => width += 1,
                Some('\t') => width = (width / TAB + 1) * TAB,
                Some('\x0c') => width = 0,
                _ => {
                    plain.extend(std::iter::repeat_n(' ', width));
                    plain.push_str(here);
                    break;
                }
            }
        }
    }
    plain
}

/// `` `value` `` is Python 2's `repr(value)`, without which the expression
/// still stands: nothing that is read of it depends on its value.
fn without_backticks(text: &str) -> String {
    text.replace('`', " ")
}

/// The words in question, wherever they stand, become names of the same length.
fn with_names_for(text: &str, words: &[&str]) -> String {
    let mut result = String::with_capacity(text.len());
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let mut rest = text;
    while !rest.is_empty() && !words.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if words.contains(&word) {
            result.extend(std::iter::repeat_n('x', word.len()));
        } else {
            result.push_str(word);
        }
        let next = after.find(is_part).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        result.push_str(between);
        rest = after;
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &[u8]) -> String {
        Text::new(source, Language::Python3).written
    }

    #[test]
    fn line_ends_and_indentation_are_made_plain() {
        assert_eq!(written(b"a\r\n\tb\r    \tc\n"), "a\n        b\n        c\n");
        assert_eq!(written(b"\x0cif a:\n  \x0c  b\n"), "if a:\n  b\n");
    }

    #[test]
    fn encodings_by_mark_by_declaration_and_by_default() {
        assert_eq!(written(b"\xef\xbb\xbfx = '\xc3\xa9'\n"), "x = '\u{e9}'\n");
        assert_eq!(
            written(b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\nx = '\xe9'\n"),
            "#!/usr/bin/python\n# -*- coding: latin-1 -*-\nx = '\u{e9}'\n"
        );
        // The second byte is an ASCII backslash.
        assert_eq!(
            written(b"# vim: set fileencoding=cp932 :\nx = '\x95\x5c'\n"),
            "# vim: set fileencoding=cp932 :\nx = '\u{8868}'\n"
        );
        assert_eq!(written(b"x = '\xff'\n"), "x = '\u{fffd}'\n");
        assert_eq!(
            Text::new(b"x = '\xe9'\n", Language::Python2).written,
            "x = '\u{e9}'\n"
        );
        // Behind code it is a comment like any other.
        assert_eq!(
            written(b"import a\n# coding: latin-1\nx = '\xc3\xa9'\n"),
            "import a\n# coding: latin-1\nx = '\u{e9}'\n"
        );
    }

    #[test]
    fn both_readings_have_the_same_offsets() {
        let source = b"async = `x`\nawaits = await_ = nonlocal";
        let text = Text::new(source, Language::Python2);
        assert_eq!(text.written, "async = `x`\nawaits = await_ = nonlocal");
        assert_eq!(text.parsed, "xxxxx =  x \nawaits = await_ = xxxxxxxx");
    }
}
