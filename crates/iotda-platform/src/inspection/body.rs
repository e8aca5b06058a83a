//! The bodies of the inspection API's answers: a text as a whole, or pieces that come one after the other.

use crate::terminal;
use bytes::Bytes;
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

pub(super) enum Body {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Bytes>),
}

/// Where the pieces of a body are put in. It waits while they are not read.
pub(super) struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// An error says that nobody reads on.
    pub(super) async fn send(&self, piece: Bytes) -> Result<(), ()> {
        self.0.send(piece).await.map_err(|_| ())
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}

impl Body {
    pub(super) fn whole(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(text.into()))
    }

    pub(super) fn channel() -> (Sender, Self) {
        let (sender, receiver) = mpsc::channel(2);
        (Sender(sender), Self::Pieces(receiver))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let piece = match &mut *self {
            Body::Whole(text) => Poll::Ready(text.take()),
            Body::Pieces(receiver) => receiver.poll_recv(context),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Body::Whole(text) => hyper::body::SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Body::Pieces(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// JSON as it is shown: indented for a person, and with nothing in it that a terminal would obey.
pub(super) fn presentable(json: &str, pretty: bool) -> String {
    match pretty {
        true => terminal::escape_json(&indented(json)),
        false => terminal::escape_json(json),
    }
}

/// JSON with its members on lines of their own. All else stays as it was sent, a number's digits above all.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            text.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' | '[' => {
                text.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if characters.next_if(|next| matches!(next, '}' | ']')).is_some() {
                    text.push(if character == '{' { '}' } else { ']' });
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(',');
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            '"' => {
                in_string = true;
                text.push('"');
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_json_is_the_same_json_digit_by_digit() {
        let json = r#"{"a":[1,{}, [ ] ,18446744073709551616.10],"b":"x\"{,:\\","c":{ "d":null}}"#;
        let expected = "{\n  \"a\": [\n    1,\n    {},\n    [],\n    18446744073709551616.10\n  ],\n  \
                        \"b\": \"x\\\"{,:\\\\\",\n  \"c\": {\n    \"d\": null\n  }\n}";
        assert_eq!(indented(json), expected);
        assert_eq!(presentable("[\"\u{202e}\"]", false), "[\"\\u202e\"]");
    }
}
