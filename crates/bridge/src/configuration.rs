//! The attach configuration: what a person writes in `launch.json`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ptvsd_client::{AttachOptions, DEFAULT_PORT, Scheme, Secret, Target, TlsOptions, TlsVersion};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::files::PathMapping;

/// A variable that a workspace's file may name must begin with this: such a
/// file must not be able to send any variable to any host.
const SECRET_VARIABLE_PREFIX: &str = "PTVSD_";

/// Keys that are not the adapter's: editors add them, or keep them for
/// themselves. Those that begin with two underscores are theirs as well.
const EDITORS_KEYS: [&str; 16] = [
    "name",
    "type",
    "request",
    "noDebug",
    "preLaunchTask",
    "postDebugTask",
    "preRestartTask",
    "postRestartTask",
    "internalConsoleOptions",
    "presentation",
    "suppressMultipleSessionWarning",
    "debugServer",
    "serverReadyAction",
    "windows",
    "osx",
    "linux",
];

/// What a session may use of the machine that it runs on.
pub trait Environment: Send + Sync {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether there is such a file.
    fn has_file(&self, path: &str) -> bool;

    /// Writes what happens from now on to this file as well.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    fn log_to(&self, path: &Path) -> io::Result<()>;
}

/// A checked attach configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    pub(crate) target: Target,
    pub(crate) path_mappings: Vec<PathMapping>,
    pub(crate) stop_on_entry: bool,
    pub(crate) just_my_code: bool,
    pub(crate) redirect_output: bool,
    pub(crate) django: bool,
    pub(crate) break_on_system_exit_zero: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) agent: bool,
    pub(crate) max_stop: Option<Duration>,
    pub(crate) allow_terminate: bool,
    pub(crate) show_globals: bool,
    pub(crate) log_file: Option<PathBuf>,
    /// Keys that mean nothing here.
    pub(crate) unknown: Vec<String>,
    /// There is a `tls`, and the target is a plain one.
    pub(crate) has_idle_tls: bool,
}

/// The configuration as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    target: Option<String>,
    connect: Option<Connect>,
    host: Option<String>,
    port: Option<Value>,
    secret: Option<String>,
    secret_env: Option<String>,
    path_mappings: Option<Vec<PathMapping>>,
    stop_on_entry: Option<bool>,
    just_my_code: Option<bool>,
    redirect_output: Option<bool>,
    django: Option<bool>,
    connect_timeout: Option<f64>,
    agent: Option<bool>,
    max_stop: Option<f64>,
    allow_terminate: Option<bool>,
    break_on_system_exit_zero: Option<bool>,
    show_globals: Option<bool>,
    log_file: Option<PathBuf>,
    tls: Option<WrittenTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenTls {
    ca_file: Option<PathBuf>,
    fingerprint: Option<String>,
    server_name: Option<String>,
    min_version: Option<String>,
    verify: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
struct Connect {
    host: Option<String>,
    port: Option<Value>,
}

/// The keys of [`WrittenTls`].
const TLS_KEYS: [&str; 5] = [
    "caFile",
    "fingerprint",
    "serverName",
    "minVersion",
    "verify",
];

/// The keys of [`Written`].
const KEYS: [&str; 19] = [
    "target",
    "connect",
    "host",
    "port",
    "secret",
    "secretEnv",
    "pathMappings",
    "stopOnEntry",
    "justMyCode",
    "redirectOutput",
    "django",
    "connectTimeout",
    "agent",
    "maxStop",
    "allowTerminate",
    "breakOnSystemExitZero",
    "showGlobals",
    "logFile",
    "tls",
];

impl Configuration {
    /// Checks what an editor sent.
    ///
    /// # Errors
    ///
    /// Names the field that is wrong.
    pub fn from_arguments(
        request: &dap_wire::RawRequest,
        environment: &dyn Environment,
    ) -> Result<Configuration, Failure> {
        let written: Written = request
            .arguments_as()
            .map_err(|why| Failure::BadConfiguration(format!("attach configuration: {why}")))?;
        let unknown = unknown_keys(&request.arguments);
        let target = target(&written, environment)?;
        let has_idle_tls = written.tls.is_some() && target.scheme == Scheme::Tcp;
        Ok(Configuration {
            target,
            path_mappings: written.path_mappings.unwrap_or_default(),
            stop_on_entry: written.stop_on_entry.unwrap_or(false),
            just_my_code: written.just_my_code.unwrap_or(true),
            redirect_output: written.redirect_output.unwrap_or(true),
            django: written.django.unwrap_or(false),
            break_on_system_exit_zero: written.break_on_system_exit_zero.unwrap_or(false),
            connect_timeout: seconds("connectTimeout", written.connect_timeout)?
                .unwrap_or(Duration::from_secs(3)),
            agent: written.agent.unwrap_or(true),
            max_stop: seconds("maxStop", written.max_stop)?,
            allow_terminate: written.allow_terminate.unwrap_or(false),
            show_globals: written.show_globals.unwrap_or(true),
            log_file: written.log_file,
            unknown,
            has_idle_tls,
        })
    }

    /// Whether it asks for anything that a server must be told.
    pub(crate) fn has_options(&self) -> bool {
        !self.just_my_code || !self.redirect_output || self.django || self.break_on_system_exit_zero
    }

    pub(crate) fn attach_options(&self) -> AttachOptions {
        AttachOptions {
            redirect_output: self.redirect_output,
            debug_standard_library: !self.just_my_code,
            django: self.django,
            break_on_system_exit_zero: self.break_on_system_exit_zero,
            agent: self.agent,
        }
    }
}

fn unknown_keys(arguments: &Value) -> Vec<String> {
    let Some(arguments) = arguments.as_object() else {
        return Vec::new();
    };
    let own = arguments.keys().filter(|key| {
        !key.starts_with("__")
            && !KEYS.contains(&key.as_str())
            && !EDITORS_KEYS.contains(&key.as_str())
    });
    let of_tls = arguments
        .get("tls")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
        .filter(|key| !TLS_KEYS.contains(&key.as_str()))
        .map(|key| format!("tls.{key}"));
    own.cloned().chain(of_tls).collect()
}

fn tls(written: &WrittenTls) -> Result<TlsOptions, Failure> {
    let wrong =
        |field: &str, why: String| Err(Failure::BadConfiguration(format!("`tls.{field}`: {why}")));
    let mut options = TlsOptions {
        ca_file: written.ca_file.clone(),
        server_name: written.server_name.clone(),
        verify: written.verify.unwrap_or(true),
        ..TlsOptions::default()
    };
    if let Some(text) = &written.fingerprint {
        match text.parse() {
            Ok(fingerprint) => options.fingerprint = Some(fingerprint),
            Err(error) => return wrong("fingerprint", error.to_string()),
        }
    }
    if let Some(text) = &written.min_version {
        match text.parse() {
            Ok(version) => options.min_version = version,
            Err(error) => return wrong("minVersion", error),
        }
    }
    if options.server_name.as_deref() == Some("") {
        return wrong("serverName", "a name cannot be empty".to_owned());
    }
    Ok(options)
}

/// The line of an attach configuration that asks for this.
pub(crate) fn tls_line(options: &TlsOptions) -> String {
    let mut line = Map::new();
    let mut add = |key: &str, value: Value| line.insert(key.to_owned(), value);
    if let Some(file) = &options.ca_file {
        add("caFile", json!(file.display().to_string()));
    }
    if let Some(fingerprint) = &options.fingerprint {
        add("fingerprint", json!(fingerprint.to_string()));
    }
    if let Some(name) = &options.server_name {
        add("serverName", json!(name));
    }
    if options.min_version == TlsVersion::V1_2 {
        add("minVersion", json!("1.2"));
    }
    format!("\"tls\": {}", Value::Object(line))
}

fn target(written: &Written, environment: &dyn Environment) -> Result<Target, Failure> {
    let wrong = |field: &str, why: String| Failure::BadConfiguration(format!("`{field}`: {why}"));
    // A target says itself whether there is TLS.
    let scheme = match (&written.target, &written.tls) {
        (None, Some(_)) => Scheme::Tcps,
        _ => Scheme::Tcp,
    };
    let mut target = match (&written.target, &written.connect, &written.host) {
        (Some(text), ..) => text
            .parse::<Target>()
            .map_err(|error| wrong("target", error.to_string()))?,
        (None, Some(connect), _) => at("connect", scheme, &connect.host, &connect.port)?,
        (None, None, Some(_)) => at("host", scheme, &written.host, &written.port)?,
        (None, None, None) if written.port.is_some() => at("port", scheme, &None, &written.port)?,
        (None, None, None) => {
            return Err(wrong(
                "target",
                "say where the program is, as tcp://secret@host:5678".to_owned(),
            ));
        }
    };
    if let Some(written) = &written.tls {
        target.tls = Box::new(tls(written)?);
    }
    if let Some(name) = &written.secret_env {
        if !name.starts_with(SECRET_VARIABLE_PREFIX) {
            return Err(wrong(
                "secretEnv",
                format!("the variable's name must begin with {SECRET_VARIABLE_PREFIX}"),
            ));
        }
        let secret = environment.variable(name).ok_or_else(|| {
            wrong(
                "secretEnv",
                format!("the variable {name} is not set where the adapter runs"),
            )
        })?;
        target.secret = Secret::from(secret);
    }
    if let Some(secret) = &written.secret {
        target.secret = Secret::from(secret.clone());
    }
    Ok(target)
}

/// A host and a port that are given one by one. Both have debugpy's defaults.
fn at(
    field: &str,
    scheme: Scheme,
    host: &Option<String>,
    port: &Option<Value>,
) -> Result<Target, Failure> {
    let wrong = |why: &str| {
        let name = if field == "connect" {
            "connect.port"
        } else {
            "port"
        };
        Err(Failure::BadConfiguration(format!("`{name}`: {why}")))
    };
    const NOT_A_PORT: &str = "a port is a number from 1 to 65535";
    // "${input:port}" comes as a string, and Lua's numbers as 5678.0.
    let written = match port {
        None | Some(Value::Null) => DEFAULT_PORT.to_string(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.as_f64().unwrap_or(0.0).to_string(),
        Some(_) => return wrong(NOT_A_PORT),
    };
    let port = match written.parse() {
        Ok(port) if port > 0 => port,
        _ => return wrong(NOT_A_PORT),
    };
    Ok(Target {
        scheme,
        secret: Secret::default(),
        host: host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
        port,
        tls: Box::default(),
    })
}

fn seconds(field: &str, value: Option<f64>) -> Result<Option<Duration>, Failure> {
    match value {
        None => Ok(None),
        Some(0.0) => Ok(None),
        Some(value) => match Duration::try_from_secs_f64(value) {
            Ok(duration) => Ok(Some(duration)),
            Err(_) => Err(Failure::BadConfiguration(format!(
                "`{field}`: a number of seconds cannot be {value}"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use dap_wire::RawRequest;
    use serde_json::json;

    use super::*;

    impl Environment for HashMap<&str, &str> {
        fn variable(&self, name: &str) -> Option<String> {
            self.get(name).map(|value| (*value).to_owned())
        }

        fn has_file(&self, _: &str) -> bool {
            false
        }

        fn log_to(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
    }

    fn read(arguments: Value) -> Result<Configuration, String> {
        let request = RawRequest {
            seq: 1,
            command: "attach".to_owned(),
            arguments,
        };
        let secrets = HashMap::from([("PTVSD_X", "from-env")]);
        Configuration::from_arguments(&request, &secrets)
            .map_err(|failure| dap_wire::ErrorAnswer::from(failure).detail)
    }

    #[test]
    fn every_way_to_say_where() {
        for (arguments, shown, secret) in [
            (
                json!({"target": "tcp://my_secret@example.org"}),
                "tcp://example.org:5678",
                "my_secret",
            ),
            (
                json!({"connect": {"host": "h", "port": 1}}),
                "tcp://h:1",
                "",
            ),
            (json!({"connect": {"port": "5"}}), "tcp://127.0.0.1:5", ""),
            (
                json!({"host": "h", "port": 2.0, "secret": "s"}),
                "tcp://h:2",
                "s",
            ),
            (json!({"port": 3}), "tcp://127.0.0.1:3", ""),
            (
                json!({"connect": {"host": "h"}, "tls": {}}),
                "tcps://h:5678",
                "",
            ),
            (json!({"target": "tcps://h"}), "tcps://h:5678", ""),
            (
                json!({"target": "a@h", "secretEnv": "PTVSD_X"}),
                "tcp://h:5678",
                "from-env",
            ),
        ] {
            let configuration = read(arguments.clone()).unwrap();
            assert_eq!(configuration.target.to_string(), shown, "{arguments}");
            assert_eq!(configuration.target.secret.expose(), secret, "{arguments}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, named) in [
            (json!({}), "`target`"),
            (json!({"target": "http://x"}), "`target`"),
            (json!({"target": 5}), "target"),
            (json!({"host": "h", "port": 70000}), "`port`"),
            (json!({"connect": {"port": "x"}}), "`connect.port`"),
            (json!({"target": "h", "secretEnv": "HOME"}), "`secretEnv`"),
            (
                json!({"target": "h", "secretEnv": "PTVSD_ABSENT"}),
                "PTVSD_ABSENT",
            ),
            (
                json!({"target": "h", "connectTimeout": -1}),
                "`connectTimeout`",
            ),
            (json!({"target": "h", "stopOnEntry": "yes"}), "stopOnEntry"),
            (
                json!({"target": "h", "pathMappings": [{"localRoot": 1}]}),
                "localRoot",
            ),
            (json!({"target": "tcps://h", "tls": true}), "tls"),
            (
                json!({"target": "tcps://h", "tls": {"caFile": 1}}),
                "caFile",
            ),
            (
                json!({"target": "tcps://h", "tls": {"fingerprint": "AB:CD"}}),
                "`tls.fingerprint`",
            ),
            (
                json!({"target": "tcps://h", "tls": {"minVersion": "1.1"}}),
                "`tls.minVersion`",
            ),
            (
                json!({"target": "tcps://h", "tls": {"serverName": ""}}),
                "`tls.serverName`",
            ),
        ] {
            let message = read(arguments.clone()).unwrap_err();
            assert!(message.contains(named), "{arguments}: {message}");
        }
    }

    #[test]
    fn unknown_keys_are_listed_and_editors_own_are_not() {
        let configuration = read(json!({
            "target": "h", "name": "n", "request": "attach", "type": "ptvsd-bridge",
            "__sessionId": "1", "secert": "typo", "logFile": "x",
            "tls": {"verify": true, "cafile": "typo"},
        }))
        .unwrap();
        assert_eq!(configuration.unknown, ["secert", "tls.cafile"]);
        assert!(configuration.has_idle_tls);
    }

    #[test]
    fn the_line_that_would_accept_a_certificate_is_read_as_it_is_written() {
        let fingerprint = "0A:".repeat(31) + "FF";
        for tls in [
            json!({"fingerprint": fingerprint}),
            json!({"caFile": "C:\\certs\\a \"b\".cer", "serverName": "myvm.example"}),
            json!({"fingerprint": fingerprint, "minVersion": "1.2"}),
        ] {
            let configuration = read(json!({"target": "tcps://h", "tls": tls})).unwrap();
            let line = tls_line(&configuration.target.tls);
            let again: Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
            assert_eq!(again, json!({"tls": tls}), "{line}");
        }
    }
}
