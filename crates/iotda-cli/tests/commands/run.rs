//! Running the command: with an environment of the test's own, against a stand-in platform, compared with files.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use testkit::{Stand, scratch};

/// How long the command may take. It comes nowhere near that; one that hangs is ended.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How the command ended, and what it printed.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The command with nothing in its environment but what the test puts there.
pub fn iotda(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iotda"));
    let home = scratch().unwrap();
    command.args(words).env_clear().env("LANG", "C.UTF-8").env("HOME", &home).env("PATH", "/usr/bin:/bin");
    command.current_dir(home);
    command
}

/// The same, configured for the gateway of the stand-in.
pub fn iotda_at(stand: &Stand, words: &[&str]) -> Command {
    let mut command = iotda(words);
    stand.configure(&mut command);
    command
}

/// A command that runs, with pipes to all its streams. Dropped, it is killed.
pub struct Running {
    pub child: Child,
    output: mpsc::Receiver<(usize, Vec<u8>)>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, [Stdio::piped(), Stdio::piped(), Stdio::piped()])
    }

    /// With these streams; what is no pipe reads as empty at its end.
    pub fn start_with(command: &mut Command, [stdin, stdout, stderr]: [Stdio; 3]) -> Self {
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        // The command holds on to a terminal that it was given.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, output) = mpsc::channel();
        let stdout: Option<Box<dyn Read + Send>> = child.stdout.take().map(|pipe| Box::new(pipe) as _);
        let stderr: Option<Box<dyn Read + Send>> = child.stderr.take().map(|pipe| Box::new(pipe) as _);
        for (index, stream) in [stdout, stderr].into_iter().enumerate() {
            collect(index, stream.unwrap_or_else(|| Box::new(io::empty())), sender.clone());
        }
        Running { child, output }
    }

    /// The same with a standard output that nobody reads: its other end is closed.
    pub fn start_unread(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        Running { child, output: mpsc::channel().1 }
    }

    /// Sends it SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        self.end_by_itself()
    }

    /// The same, with its standard input still open.
    pub fn end_by_itself(mut self) -> Ended {
        let mut texts = [String::new(), String::new()];
        for _ in 0..2 {
            let (index, bytes) = self.output.recv_timeout(LIMIT).expect("the command ends");
            texts[index] = String::from_utf8(bytes).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        let [stdout, stderr] = texts;
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(index: usize, mut stream: impl Read + Send + 'static, sender: mpsc::Sender<(usize, Vec<u8>)>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let _ = sender.send((index, bytes));
    });
}

/// Runs it to its end, with nothing on its standard input.
pub fn run(command: &mut Command) -> Ended {
    Running::start(command).end()
}

/// Runs it to its end, with this on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ended {
    let mut running = Running::start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that does not read all of it closes the pipe.
    let writing = thread::spawn(move || stdin.write_all(&input));
    let ended = running.end();
    let _ = writing.join().unwrap();
    ended
}

/// Waits until the stand-in has received a request of this kind: a query of its inspection API, such as `call=message`.
pub fn wait_for(stand: &Stand, query: &str) {
    let query = query.replace('"', "%22");
    let url = format!("{}/requests?{query}&wait_ms={}", stand.platform.inspection_url(), LIMIT.as_millis());
    let found = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(found.contains("\"target\""), "no request came: {query}");
}

/// The bodies of the accepted requests of a call, in order.
pub fn arrived(stand: &Stand, call: &str) -> Vec<String> {
    let requests = stand.platform.requests();
    let path = format!("/sys/{call}");
    requests
        .iter()
        .filter(|request| request.status == 200 && request.target.ends_with(&path))
        .map(|request| String::from_utf8(request.body.clone()).unwrap())
        .collect()
}

/// Compares what a run printed, and its exit code, with the file `golden/NAME.txt`. What differs from run to run is
/// replaced: pairs of a text and the word for it. `IOTDA_BLESS=1` writes the file anew.
pub fn compare(name: &str, ended: &Ended, replaced: &[(&str, &str)]) {
    let mut actual =
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", ended.code.unwrap_or(-1), ended.stdout, ended.stderr);
    for (text, word) in replaced {
        actual = actual.replace(text, word);
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("IOTDA_BLESS").is_some() {
        fs::write(&file, &actual).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(actual, expected, "it differs from {}", file.display());
}
