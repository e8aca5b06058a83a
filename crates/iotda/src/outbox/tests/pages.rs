//! An hour in which a proxy answers with pages of its own, through the client's own delivery and on a virtual clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use iotda_http::CancelToken;

use super::super::attached::Attached;
use super::scripted::{Stand, accept, manner};
use crate::config::{Identity, SignType};
use crate::delivery::fixtures::{answer, session};
use crate::delivery::session::Device;

const HOUR: u64 = 3_600_000;
const TOKEN: &str = r#"{"access_token":"0123456789abcdef0123456789abcdef","expires_in":86399}"#;
const PAGE: &str = "<html><title>Sign in</title></html>";

#[test]
fn an_hour_of_a_proxys_pages_loses_nothing_and_makes_no_dead_letter() {
    for status in [200, 400, 403, 404] {
        let (is_back, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (back, count) = (Arc::clone(&is_back), Arc::clone(&asked));
        let bodies: Arc<std::sync::Mutex<Vec<u8>>> = Arc::default();
        let arrived = Arc::clone(&bodies);
        let session = session(move |post, _| {
            if post.token.is_none() {
                return answer(200, TOKEN);
            }
            count.fetch_add(1, Ordering::SeqCst);
            if !back.load(Ordering::SeqCst) {
                return answer(status, PAGE);
            }
            arrived.lock().unwrap().extend_from_slice(post.body);
            answer(200, "{}")
        });
        let device = Device::new(Identity::new("d", b"secret").unwrap().into(), SignType::PasswordOnly, None);
        let stand = Stand::new(1 << 20, manner(), Box::new(accept));
        stand.attach_by("d", Arc::new(Attached::new(Arc::new(session), Arc::new(device), CancelToken::new())));
        for value in 0..200 {
            stand.reading("d", None, &format!("<{value}>")).unwrap();
        }
        stand.run(HOUR, 10);
        assert_eq!((stand.entries(), stand.worker.counters().dead), (200, 0), "{status}");
        assert!(!stand.worker.counters().last_error.is_empty());
        let in_vain = asked.load(Ordering::SeqCst);
        assert!((10..120).contains(&in_vain), "{status}: {in_vain} requests in an hour");
        is_back.store(true, Ordering::SeqCst);
        stand.run(2 * HOUR, 10);
        assert_eq!((stand.entries(), stand.worker.counters().delivered), (0, 200), "{status}");
        let body = String::from_utf8(bodies.lock().unwrap().clone()).unwrap();
        let values: Vec<&str> = body.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
        assert_eq!(values, (0..200).map(|value| value.to_string()).collect::<Vec<_>>(), "{status}: once and in order");
    }
}
