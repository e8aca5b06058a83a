//! A stand-in for the device side of Huawei Cloud IoTDA: a strict HTTPS server that keeps the rules of the platform's
//! HTTPS access page. It serves the tests of the other crates as a library, and whoever develops against the platform
//! as the command `iotda-platform`.
//!
//! It is written from that page and shares no code with the client: what both get wrong in the same way, nobody finds.
//!
//! ```
//! use iotda_platform::{Device, Platform, Registry};
//!
//! let mut registry = Registry::new();
//! registry.add_device(Device::new("my_device").with_secret("my-secret"))?;
//! let platform = Platform::builder().registry(registry).start()?;
//! println!("{} trusted by {}", platform.url(), platform.ca_pem());
//! assert!(platform.reports().is_empty());
//! # Ok::<(), iotda_platform::Error>(())
//! ```
//!
//! It misbehaves on request: see [Faults](#faults).
//!
//! # The rules
//! A request passes these steps, and the first that refuses it decides the answer:
//!
//! | step | what is refused | answer |
//! |---|---|---|
//! | read | a line that ends in LF alone, a fragment in the target, `Content-Length` beside `Transfer-Encoding` | 400 `IOTDA.000006` |
//! | | an `Expect` other than `100-continue` | 417 `IOTDA.000006` |
//! | route | a path that is none of the four | 404 |
//! | | a method other than POST | 405 |
//! | | a malformed device ID in the path; a query; HTTP/1.1 without a `Host` | 400 `IOTDA.000006` |
//! | authenticate | an `access_token` header that is missing, unknown or expired | 403 `IOTDA.000004` |
//! | authorise | another device's token | 403 `IOTDA.000004` |
//! | size | properties or a batch over 1 MB (1,048,576 bytes) | 403 `IOTDA.021105` |
//! | | a message of 1 MB or more | 400 `IOTDA.000006` |
//! | limit | what is over the device's rate | 403 `IOTDA.021101` |
//! | | what is over the tenant's rate | 403 `IOTDA.021102` |
//! | validate | a `Content-Type` other than `application/json` | 400 `IOTDA.000006` |
//! | | a batch of more than 50 child devices | 403 `IOTDA.021103` |
//! | | a child that is unknown or another gateway's | 400 `IOTDA.021104` |
//! | | JSON that is malformed or of another form; with [`PlatformBuilder::strict_model`], not of the product's model | 400 `IOTDA.000006` |
//!
//! An authentication is refused with 400 `IOTDA.000006` if it is malformed, and with 401 `IOTDA.000002` if the device
//! is unknown or the password wrong. A refused request leaves nothing behind but its record. What is no HTTP request at
//! all gets a 400 without a body, and leaves an [`Incident`], as does a TLS handshake that fails and a connection that is
//! silent for too long ([`Timeouts`]).
//!
//! # Where the page is silent
//! These are our own choices; the real platform may differ.
//!
//! - It is strict: members that the page does not list, members and properties given twice, empty lists, empty service
//!   IDs and values of another type are refused, as is `null` instead of a value that is left out.
//! - What does not fit the product's model is thrown away after a 200, as the vendor's manual says: service by service, the
//!   others are kept. The request's record says why. [`PlatformBuilder::strict_model`] refuses the request instead.
//!   `required`, `step` and `method` of a model are read, and no report is held to them; a `DateTime` may have any form.
//! - A message needs `Content-Type: application/json` as all others do, whatever it holds.
//! - An `event_time` that is a malformed string is accepted, and the time of receipt put in its place: that the page does
//!   say. One that is no string is refused.
//! - A timestamp must be an hour that exists even for `sign_type` 0. For `sign_type` 1 it may be an hour off.
//! - A rate is a bucket of one second's worth that empties at the rate. A report counts once per started 4 KB (4,096
//!   bytes), be it found malformed afterwards or not. A report of more than one second's worth passes when the bucket is
//!   empty, and is paid for afterwards.
//! - A batch may name the same child twice.
//! - The codes that go with 404, 405, 417 and 500 (`IOTDA.000008`, `IOTDA.000008`, `IOTDA.000006`, `IOTDA.000001`).
//! - No more than 10,000 tokens of one device are valid at a time: one that gets more within 30 s loses the oldest.
//! - How long a connection may be silent ([`Timeouts`]).
//! - The certificate's years are wide, so that a client under test may live at another time than the machine.
//!
//! # Time
//! Tokens and rates go by the platform's own clock. It shows the machine's time until it is moved; tests stop it
//! ([`PlatformBuilder::clock_stopped_at`]) and move it ([`Platform::advance`]) where they would else have to wait.
//!
//! # The registry file
//! ```
//! # iotda_platform::Registry::from_toml(r#"
//! [limits]                      # a rate is a number per second; without one there is no limit
//! device_rate = 10              # reports of one device
//! tenant_rate = 1000            # reports of all devices together
//! auth_rate = 2                 # authentications of one device
//! tenant_auth_rate = 100        # authentications of all devices together
//! children_per_batch = 50
//!
//! [[product]]
//! id = "weather"
//! [[product.service]]           # a product without services has no model: its devices may report anything
//! id = "wind"                   # int, long, decimal, string, DateTime, enum, boolean, jsonObject, jsonArray, string list
//! properties = { Height = "int", Speed = { data_type = "decimal", min = 0, max = 120.5 } }   # max_length, enum_list too
//!
//! [[device]]
//! id = "weather_station"
//! secret = "secret"
//! product = "weather"           # optional
//! rate = 5                      # optional: instead of device_rate
//!
//! [[device]]
//! id = "weather_vane"
//! product = "weather"
//! gateway = "weather_mast"      # a child needs no secret
//!
//! [[gateway]]
//! id = "weather_mast"
//! secret = "secret"
//! children = ["vane_1"]         # beside those that name it; "any" for every device that is not registered
//! child_product = "weather"     # of the listed children that have no entry of their own
//! # "#)?;
//! # Ok::<(), iotda_platform::Error>(())
//! ```
//!
//! # The inspection API
//! Plain HTTP on a loopback address, JSON both ways, and a page for a browser at `/`. Who can reach it can see and change
//! everything: the records hold passwords and access tokens. So that this is nobody but this machine's programs and the
//! page itself, each request needs one `Host` of `localhost`, `127.0.0.1` or `[::1]`
//! ([`PlatformBuilder::inspection_host`] allows one more), and no `Origin` or `Sec-Fetch-Site` of another origin; it is
//! answered 403 if not.
//!
//! | call | |
//! |---|---|
//! | `GET /` | the page: what arrives as it arrives, faults, the clock |
//! | `GET /reports` | what was accepted, oldest first |
//! | `GET /requests` | every request, accepted or not, and why it was refused |
//! | `GET /log` | the same with the incidents among them |
//! | `GET /events` | the log as it grows, as server-sent events: `id` is the number, `?after=NUMBER` resumes. `start` or `reset` begin a stream (`reset`: forget what you know), `gap` says that records have made way. Eight may follow at a time |
//! | `DELETE /reports`, `DELETE /requests` | either forgets all lists |
//! | `GET /arrivals` | which entries arrived, how often and in which order: what was accepted, taken apart into reports of one service and messages, equal ones together, by their first arrival. `reports` has the number of each report that brought it, `count` how many those are. `dropped` in `/counters` says whether some are no longer kept; it takes `device`, `call`, `q` and `since` |
//! | `GET /counters` | connections, handshakes, requests and so on; `units`: what the accepted reports counted against the rates, one for each started 4 KB |
//! | `GET /health`, `GET /ca.pem` | that it serves and where devices connect; the certificate to trust |
//! | `GET /products`, `GET /devices` | what is registered, without secrets; `/devices` takes `q` and `limit` |
//! | `POST /products` | `{"product_id": "p", "services": {"wind": {"Speed": "decimal"}}}`, both optional; or the application API's CreateProduct, with `service_capabilities` |
//! | `POST /devices` | `{"product_id": "p", "node_id": "n"}`, optionally `device_id`, `secret`, `gateway_id`, `rate`; or its AddDevice, with `auth_info`. Answers with the `device_id` `p_n` and the secret |
//! | `PUT /devices/ID` | `{"secret": "…", "rate": 5}`, both optional; `null` takes the device's own rate away |
//! | `DELETE /devices/ID` | takes the device out, and its tokens with it |
//! | `GET /clock`, `PUT /clock` | `{"now_ms": 1628849410555}`, Unix milliseconds |
//! | `POST /clock/advance` | `{"ms": 90000}` |
//! | `POST /tokens/expire` | makes every access token invalid |
//! | `GET /faults`, `POST /faults`, `DELETE /faults` | lists the faults, arms one and answers with its number (`{"id": 1}`), withdraws all; `DELETE /faults/ID` withdraws one. There are 1,000 at most |
//!
//! The lists take these parameters, together or alone, and refuse others. Without any, they hold all that is kept:
//!
//! | parameter | of | |
//! |---|---|---|
//! | `device` | all | the sender's ID, or that of a child in a batch |
//! | `call` | all | `auth`, `properties`, `message`, `batch`, `none` |
//! | `result` | requests, log | `accepted`, `discarded`, `refused`, `unanswered` |
//! | `status` | requests, log | the answer's |
//! | `q` | all | a text, in the target, the body, the reason |
//! | `since` | all | received then or later: Unix milliseconds, or a time such as `2021-08-13T10:10:10.555Z` |
//! | `after`, `before` | all | larger or smaller numbers than this; `before` gives the last of them, up to 1,000 |
//! | `limit` | all | 1 to 1,000: the first ones after `after`, or else the latest |
//! | `wait_ms` | all | waits so long, at most 600,000 ms, until there is something to list |
//!
//! # Faults
//! The platform does wrong what goes wrong in the field, on request, so that a client can be tested against it:
//!
//! ```
//! use iotda_platform::{Fault, InjectedAnswer, Platform, RetryAfter, Route};
//!
//! let platform = Platform::builder().start()?;
//! platform.inject(Fault::refusal("IOTDA.021101").on(Route::Properties).times(3))?;
//! let overloaded = InjectedAnswer::status(503).retry_after(RetryAfter::Seconds(2));
//! platform.inject(Fault::answer(overloaded).share(10, 1))?;
//! assert_eq!(platform.faults()[0].remaining, Some(3));
//! platform.clear_faults();
//! # Ok::<(), iotda_platform::Error>(())
//! ```
//!
//! A fault has one form wherever it is written: as an object of JSON for the inspection API, as a table of TOML for a
//! scenario, and for the library as a [`Fault`] with a method for each name here. A scenario is a file with a
//! `[[fault]]` for each, armed from the start ([`PlatformBuilder::scenario_file`], or `--scenario`):
//!
//! ```
//! # let faults = iotda_platform::Fault::from_toml(r#"
//! [[fault]]
//! kind = "answer"
//! code = "IOTDA.021101"
//! on = "properties"
//! times = 3
//!
//! [[fault]]
//! kind = "delay"
//! before = "body"
//! for_ms = 1500
//! share = { percent = 10, seed = 1 }
//! # "#)?;
//! # assert_eq!(faults.len(), 2);
//! # Ok::<(), iotda_platform::Error>(())
//! ```
//!
//! All kinds have these members, and none needs one of them:
//!
//! | member | |
//! |---|---|
//! | `times` | how often it is done; until the faults are cleared if it is left out |
//! | `share` | `{"percent": 10, "seed": 1}`: the share of cases in which it is done; the same seed makes the same choice |
//! | `device` | the device to whose requests it is done. An authentication names its device in its body |
//! | `on` | the call that it is done to: `auth`, `properties`, `message`, `batch`, or `any` |
//!
//! Faults of connections are done before there is a request, so that they have no `device` and no `on`, and their
//! `times` counts connections. All others count requests. A connection or a request meets one fault of each stage, the
//! one that was armed first; faults of different stages are done together. How often each was done is in
//! [`Platform::faults`], and the names of those that a request has met are in its [`RequestRecord`].
//!
//! `for_ms` is how long nothing is done, and for ever if it is left out: until the client goes or the platform stops.
//! `close` is how the connection ends: `fin` (TCP's end alone, as if it had broken off; the default), `close_notify`
//! (TLS's end, then TCP's), `reset`, `half` and `half_close_notify` (the same as the first two for the platform's
//! side alone: it reads on until the client goes), or `silent` (the connection stays, and nothing more is read or sent).
//! Sizes are in bytes. Members in brackets can be left out.
//!
//! | name | parameters | what it does | example |
//! |---|---|---|---|
//! | *accepting* | | | |
//! | `accept_stall` | \[`for_ms`\] | accepts the connection and does nothing | `{"kind":"accept_stall","times":1}` |
//! | *below TLS* | | | |
//! | `wire_cut` | `direction`: `received`, `sent`; `after`; \[`close`\]: `fin`, `reset`, `half`, `silent` | ends the connection after so many bytes of TCP, the handshake's counted too | `{"kind":"wire_cut","direction":"sent","after":500,"close":"reset"}` |
//! | `wire_drip` | `every_ms` | sends byte by byte, the handshake too | `{"kind":"wire_drip","every_ms":1000}` |
//! | *TLS* | | | |
//! | `handshake_stall` | `after`: `client_hello`, `server_hello`, `certificate`, `server_key_exchange`, `server_hello_done`; \[`for_ms`\] | sends nothing of the handshake beyond this message | `{"kind":"handshake_stall","after":"client_hello","for_ms":5000}` |
//! | `certificate` | `show`: `expired`, `wrong_name`, `unknown_ca` | shows this certificate | `{"kind":"certificate","show":"expired"}` |
//! | `old_tls` | `version`: `1.0`, `1.1`; \[`reply`\]: `alert`, `server_hello` | speaks this version alone, and says so by an alert (`protocol_version`) or a ServerHello | `{"kind":"old_tls","version":"1.0","reply":"server_hello"}` |
//! | `plain_http` | | speaks plain HTTP instead of TLS | `{"kind":"plain_http"}` |
//! | `tls_alert` | `alert`; \[`after`\] as for `handshake_stall`: `client_hello` if it is left out | sends the fatal alert of this number after this message and ends the connection | `{"kind":"tls_alert","alert":40}` |
//! | *reading*: the request is not looked at. For a call or a device it is done when the head has come, and to no authentication if it is for a device | | | |
//! | `request_cut` | `after`; \[`close`\] | ends the connection when so many bytes of the request have come, head and body counted. The request is not recorded | `{"kind":"request_cut","after":100,"close":"reset"}` |
//! | `request_unread` | \[`for_ms`\] | reads the head and no more, so that a long body blocks its sender (see [`PlatformBuilder::narrow_window`]); then resets the connection | `{"kind":"request_unread","for_ms":5000}` |
//! | `request_slow` | `bytes_per_s` | reads what follows the head at this rate | `{"kind":"request_slow","bytes_per_s":20000}` |
//! | `early_answer` | those of `answer` | answers before the body is read, and ends the connection, by `close_notify` if nothing else is said | `{"kind":"early_answer","status":413}` |
//! | *tokens*: the rules are kept after that | | | |
//! | `token_expired` | \[`grace`\] | makes the sender's tokens invalid, with `grace` in 30 s | `{"kind":"token_expired","grace":true}` |
//! | `token_rotated` | | issues a new token to somebody else who has the sender's secret: the earlier ones have 30 s | `{"kind":"token_rotated","times":1}` |
//! | *answers*: the request is not looked at | | | |
//! | `answer` | `status` or a documented `code`, or both; \[`text`\] beside the code; \[`body`\] or \[`body_hex`\] instead of the JSON of both; \[`headers`\]: a list of `["name", "value"]`; \[`content_type`\]; \[`retry_after`\]: seconds, `{"date_in_s": 60}` for an HTTP date, or any text; \[`location`\]; \[`close`\]: the connection is kept if it is left out | answers this. The library has [`Fault::refusal`] and [`Fault::status`] for the plain ones | `{"kind":"answer","status":502,"body":"<html>Bad Gateway</html>"}` |
//! | *the clock* | | | |
//! | `date` | `off_s` | the `Date` header is off by so many seconds | `{"kind":"date","off_s":-86400}` |
//! | *the form of the answer*: the rules are kept | | | |
//! | `content_length` | `off_by` | the declared length is larger than the body's, and no more comes; or smaller, and the rest comes after the answer | `{"kind":"content_length","off_by":10}` |
//! | `chunked` | `chunk`; \[`unterminated`\] | the body comes in chunks of this size; unterminated, the connection is closed before the last | `{"kind":"chunked","chunk":16}` |
//! | `http_1_0` | | answers in HTTP/1.0 without a length | `{"kind":"http_1_0"}` |
//! | `continue_first` | \[`count`\] | sends `100 Continue` before the answer, so many times | `{"kind":"continue_first","count":2}` |
//! | `huge_header` | `bytes` | one header field has a value of this size | `{"kind":"huge_header","bytes":100000}` |
//! | `many_headers` | `count` | so many header fields more | `{"kind":"many_headers","count":1000}` |
//! | `garbage` | `text` | sends this instead of an answer and closes | `{"kind":"garbage","text":"SSH-2.0-x\r\n"}` |
//! | `trailing` | \[`text`\] | sends this after the answer; if it is left out, the answer once more ([`Fault::duplicate`]) | `{"kind":"trailing"}` |
//! | `endless` | \[`form`\]: `chunked`, `length`, `close` | the body never ends; it says that it is chunked, or of the largest length, or nothing | `{"kind":"endless","form":"length"}` |
//! | `raw` | `send`: a list of `{"text":"…"}`, `{"hex":"efbbbf"}`, `{"repeat":{"text":"x","count":70000}}`, `"answer"` and `"body"` (the platform's own), `{"pause_ms":10}`; \[`close`\]: the connection is kept if it is left out | sends these bytes instead of the answer. What stands between two pauses is written together: up to 16 KB are one TLS record | `{"kind":"raw","send":["answer",{"pause_ms":10},{"text":"more"}]}` |
//! | *the delivery of the answer*: the rules are kept | | | |
//! | `delay` | `before`: `header`, `body`; \[`for_ms`\] | sends nothing before the header, or between header and body | `{"kind":"delay","before":"header","for_ms":3000}` |
//! | `drip` | `every_ms` | sends byte by byte, each in a TLS record of its own | `{"kind":"drip","every_ms":1000}` |
//! | `response_cut` | `after`; \[`close`\] | ends the connection after so many bytes of the answer, header and body counted | `{"kind":"response_cut","after":20}` |
//! | `idle_close` | \[`after_ms`\]; \[`close`\]: `close_notify` if it is left out | ends the connection unannounced when it has been idle for so long after an answer; a request in between is answered | `{"kind":"idle_close","after_ms":1000}` |
//! | `damaged_record` | \[`when`\]: `answer`, `idle` | damages the TLS record with the answer, or sends one that is damaged after it | `{"kind":"damaged_record","when":"idle"}` |
//!
//! Pauses are real time: the platform's clock, which can be stopped, has no part in them.

#![forbid(unsafe_code)]

mod address;
mod arrivals;
mod builder;
mod calendar;
mod certificate;
mod clock;
mod counters;
mod error;
mod fault;
mod hex;
mod inspection;
mod journal;
mod limiter;
mod line;
mod model;
mod password;
mod pipeline;
mod platform;
pub mod program;
mod refusal;
mod registry;
mod request;
mod server;
mod state;
mod terminal;
mod tokens;

pub use arrivals::Arrival;
pub use builder::PlatformBuilder;
pub use certificate::CertificateKind;
pub use counters::Counters;
pub use error::Error;
pub use fault::{
    ArmedFault, Close, Damage, Direction, EndlessForm, Fault, HandshakeMessage, InjectedAnswer, OldTls, OldTlsReply,
    Part, Piece, RetryAfter, Route, ShownCertificate, Stall,
};
pub use journal::{Incident, IncidentKind, Outcome, Report, ReportKind, RequestRecord, ServiceReport};
pub use model::{DataType, Product};
pub use platform::Platform;
pub use registry::{Device, Limits, Registry};
pub use server::Timeouts;
pub use terminal::escape;
