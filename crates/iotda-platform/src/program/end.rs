//! The events that end the command.

use std::io::Read;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub struct End {
    runtime: Runtime,
    events: UnboundedReceiver<()>,
}

impl End {
    pub fn watch(exit_with_stdin: bool) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("signals cannot be waited for: {error}"))?;
        let (sender, events) = unbounded_channel();
        watch_signals(&runtime, &sender).map_err(|error| format!("signals cannot be waited for: {error}"))?;
        if exit_with_stdin {
            std::thread::spawn(move || {
                // An error ends it like an end of file: nothing more can come.
                let mut buffer = [0; 1024];
                while std::io::stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
                let _ = sender.send(());
            });
        }
        Ok(Self { runtime, events })
    }

    pub fn wait(mut self) {
        self.runtime.block_on(self.events.recv());
    }
}

#[cfg(unix)]
fn watch_signals(runtime: &Runtime, sender: &UnboundedSender<()>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let _context = runtime.enter();
    // SIGHUP too: a terminal that is closed must not leave the platform's files behind.
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signal = signal(kind)?;
        let sender = sender.clone();
        runtime.spawn(async move {
            signal.recv().await;
            let _ = sender.send(());
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn watch_signals(runtime: &Runtime, sender: &UnboundedSender<()>) -> std::io::Result<()> {
    let sender = sender.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = sender.send(());
        }
    });
    Ok(())
}
