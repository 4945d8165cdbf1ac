//! Sources that the editor has no copy of: their text is read from the
//! program.

use dap_wire::requests::{Source as SourceRequest, SourceArguments, SourceResponse};
use dap_wire::types::Source;
use ptvsd_client::{Debuggee, EvaluateError, Place};
use ptvsd_wire::{Object, ReprKind};

use crate::Failure;
use crate::answer::Answer;
use crate::configuration::Environment;
use crate::expression::{bytes_literal, unescaped};
use crate::files::{Files, file_name, source_of};
use crate::program::{Program, World};
use crate::session::{Phase, Session};

/// Where code runs while no thread has stopped, in the dialect that can.
const MODULE: &str = "__main__";
/// Larger files are not shown whole.
const MOST: usize = 16 * 1024 * 1024;
/// Of a text whose characters may take four each to show: without a kind of
/// representation, no more than 65,536 are.
const PART: usize = 16_000;

/// The numbers of such files, which hold as long as the session.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    paths: Vec<String>,
}

impl Sources {
    fn number_of(&mut self, path: &str) -> Option<i64> {
        self.known_number_of(path).or_else(|| {
            self.paths.push(path.to_owned());
            i64::try_from(self.paths.len()).ok()
        })
    }

    fn known_number_of(&self, path: &str) -> Option<i64> {
        let at = self.paths.iter().position(|known| known == path)?;
        i64::try_from(at + 1).ok()
    }

    /// A file of the program, for the editor: its local copy if there is one.
    pub(crate) fn show(
        &mut self,
        remote: &str,
        files: &Files,
        environment: &dyn Environment,
    ) -> Source {
        let local = files.local_of(remote);
        if environment.has_file(&local) {
            return plain(&local);
        }
        // Code that was made by other code has a name in place of a file.
        let remote = source_of(remote);
        if remote.starts_with('<') {
            return plain(&remote);
        }
        Source {
            source_reference: self.number_of(&remote),
            origin: Some("read from the program".to_owned()),
            ..plain(&remote)
        }
    }

    /// The path there of the file with this number.
    pub(crate) fn path_of(&self, number: i64) -> Option<&str> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.paths.get(at).map(String::as_str)
    }
}

impl Program {
    /// A frame of this very file, whose module may know where its source is.
    fn place_in(&self, remote: &str) -> Option<Place> {
        let World::Stopped { first } = self.world else {
            return None;
        };
        self.threads.all().into_iter().find_map(|(_, thread)| {
            thread.stopped(first)?;
            let (stopped, frames) = thread.stack_at(first)?;
            let index = frames
                .iter()
                .position(|frame| source_of(&frame.file.display()) == remote)?;
            Some(stopped.frame(index, frames.get(index)?.kind()))
        })
    }
}

impl Session {
    /// The path that a file goes by between the editor and us.
    pub(crate) fn path_of(&mut self, source: &Source) -> Option<String> {
        if let Some(path) = &source.path {
            return Some(path.clone());
        }
        let number = source.source_reference.filter(|number| *number > 0)?;
        let program = self.program().ok()?;
        program.sources.path_of(number).map(str::to_owned)
    }

    /// A file that the editor has named, as it was shown to it.
    pub(crate) fn shown(&self, path: &str) -> Source {
        let number = match &self.phase {
            Phase::Attached(program) => program.sources.known_number_of(path),
            _ => None,
        };
        Source {
            source_reference: number,
            ..plain(path)
        }
    }

    pub(crate) fn source(&mut self, arguments: SourceArguments, answer: Answer<SourceRequest>) {
        let number = arguments
            .source
            .as_ref()
            .and_then(|source| source.source_reference)
            .unwrap_or(arguments.source_reference);
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let Some(remote) = program.sources.path_of(number).map(str::to_owned) else {
            return answer.fail(Failure::UnknownReference("source", number));
        };
        let in_file = program.place_in(&remote);
        let anywhere = match program.place_for(None) {
            Ok(place) => place,
            Err(failure) => return answer.fail(failure),
        };
        let reader = Reader {
            debuggee: program.debuggee.clone(),
            in_file,
            anywhere,
        };
        self.when_done(
            async move {
                let content = reader.read(&remote).await;
                (content, remote)
            },
            move |_, (content, remote)| match content {
                Ok(bytes) => answer.ok(SourceResponse {
                    content: text_of(&bytes),
                    mime_type: Some("text/x-python".to_owned()),
                }),
                Err(error) => answer.fail(Failure::NoSource(remote, error.to_string())),
            },
        );
    }
}

/// Reads files where the program runs.
struct Reader {
    debuggee: Debuggee,
    in_file: Option<Place>,
    /// Absent while the program runs.
    anywhere: Option<Place>,
}

impl Reader {
    async fn read(&self, remote: &str) -> Result<Vec<u8>, EvaluateError> {
        // Without an import: a thread that has stopped may be in one.
        let file = format!("open({}, 'rb')", bytes_literal(remote));
        let bytes = format!("(lambda f: (f.read({MOST}), f.close())[0])({file})");
        let failed = match self.text(self.anywhere, &bytes).await {
            Ok(text) => return Ok(text),
            Err(error) => error,
        };
        // Of a module in an archive, its loader has the text.
        let Some(place) = self.in_file else {
            return Err(failed);
        };
        let text = "__loader__.get_source(__name__)";
        let bytes = if self.is_python_2() {
            text.to_owned()
        } else {
            format!("{text}.encode('utf-8')")
        };
        self.text(Some(place), &bytes).await.map_err(|_| failed)
    }

    fn is_python_2(&self) -> bool {
        self.debuggee.attached().major == 2
    }

    /// The value of an expression for bytes: sent as text of as many
    /// characters, which needs no codec that would have to be imported.
    async fn text(&self, place: Option<Place>, bytes: &str) -> Result<Vec<u8>, EvaluateError> {
        let text = if self.is_python_2() {
            format!("u''.join(map(unichr, bytearray({bytes})))")
        } else {
            format!("{bytes}.decode('latin-1')")
        };
        if self.debuggee.dialect().has_object_length() {
            let object = self.evaluate(place, &text, ReprKind::Raw).await?;
            return Ok(characters(&object.repr.unwrap_or_default().to_string()));
        }
        let mut whole = Vec::new();
        while whole.len() < MOST {
            let (from, to) = (whole.len(), whole.len() + PART);
            let part = format!("{text}[{from}:{to}]");
            let object = self.evaluate(place, &part, ReprKind::Normal).await?;
            let shown = object.repr.unwrap_or_default().to_string();
            let part = unescaped(&shown).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            whole.extend(characters(&part));
        }
        Ok(whole)
    }

    async fn evaluate(
        &self,
        place: Option<Place>,
        text: &str,
        repr: ReprKind,
    ) -> Result<Object, EvaluateError> {
        match place {
            Some(place) => self.debuggee.evaluate(place, text, repr).await,
            None => self.debuggee.evaluate_in_module(MODULE, text, repr).await,
        }
    }
}

/// One byte for each character.
fn characters(text: &str) -> Vec<u8> {
    text.chars().filter_map(|c| u8::try_from(c).ok()).collect()
}

/// The text of a file: in UTF-8 if it can be, or else one character for each
/// byte, which is right for Latin-1 and legible in what is like it.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

fn plain(path: &str) -> Source {
    Source {
        name: Some(file_name(path).to_owned()),
        path: Some(path.to_owned()),
        ..Source::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept() {
        let mut sources = Sources::default();
        assert_eq!(sources.number_of("/a.py"), Some(1));
        assert_eq!(sources.number_of("/b.py"), Some(2));
        assert_eq!(sources.number_of("/a.py"), Some(1));
        assert_eq!(sources.path_of(2), Some("/b.py"));
        for number in [-1, 0, 3] {
            assert_eq!(sources.path_of(number), None);
        }
    }

    #[test]
    fn text_in_whatever_encoding() {
        assert_eq!(text_of("\u{feff}caf\u{e9}".as_bytes()), "caf\u{e9}");
        assert_eq!(text_of(b"caf\xe9"), "caf\u{e9}");
    }
}
