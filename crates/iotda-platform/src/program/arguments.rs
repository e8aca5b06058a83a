//! The command line: what can be said, and the help that explains it.

#![allow(rustdoc::broken_intra_doc_links, reason = "the comments are the help, in which an address stands in brackets")]

use clap::Parser;
use std::path::PathBuf;

/// A stand-in for the device side of Huawei Cloud IoTDA, to develop and test against.
///
/// It is a strict HTTPS server that keeps the rules of the platform's HTTPS access page: authentication, messages,
/// properties, and batches of a gateway. It makes its own certificate at every start, and contacts nobody.
#[derive(Debug, Parser)]
#[command(name = "iotda-platform", version, after_long_help = AFTER)]
pub struct Arguments {
    /// Where devices connect. Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: String,

    /// Where the inspection API is (see below): plain HTTP, on a loopback address alone
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub inspect: String,

    /// One more host name under which the inspection API can be reached: that of a proxy or a container. Can be repeated
    ///
    /// Other names than localhost, 127.0.0.1 and [::1] are refused, so that no page of another site can use it.
    #[arg(long, value_name = "NAME")]
    pub inspect_host: Vec<String>,

    /// The registry: a TOML file of products, devices, gateways and limits. See --print-demo-registry for one
    ///
    /// If neither a registry nor any device or gateway is given, the demonstration registry is used.
    #[arg(long, value_name = "FILE", conflicts_with = "demo_registry")]
    pub registry: Option<PathBuf>,

    /// Use the demonstration registry, even if devices or gateways are given
    #[arg(long)]
    pub demo_registry: bool,

    /// Print the demonstration registry, to begin one's own from, and end
    #[arg(long)]
    pub print_demo_registry: bool,

    /// Register a device. It may report any service and any property. Can be repeated
    ///
    /// Other users of the machine can see the arguments of a program. ID=@FILE takes the secret from a file, and ID alone
    /// from the environment variable IOTDA_DEVICE_SECRET.
    #[arg(long, value_name = "ID=SECRET", value_parser = identity)]
    pub device: Vec<Identity>,

    /// Register a gateway. It may report for any device that is not registered. Can be repeated
    ///
    /// ID=@FILE takes the secret from a file, and ID alone from the environment variable IOTDA_GATEWAY_SECRET.
    #[arg(long, value_name = "ID=SECRET", value_parser = gateway_identity)]
    pub gateway: Vec<Identity>,

    /// Register a product with the model of a file: the application API's JSON (CreateProduct, QueryProduct), or what the
    /// console exports, as a zip or a folder. Can be repeated
    ///
    /// Devices given by --device and --gateway whose ID begins with the product's ID and an underscore are of it, as the
    /// platform names them.
    #[arg(long, value_name = "ID=FILE", value_parser = model)]
    pub product_model: Vec<Model>,

    /// Where to put the certificate that clients must trust, in PEM
    ///
    /// Without it, a file in the directory for temporary files is used, and removed at the end.
    #[arg(long, value_name = "FILE")]
    pub ca_out: Option<PathBuf>,

    /// Keep the certificate authority in this file, over restarts: its key and its certificate, in PEM
    ///
    /// It is made if it is not there. For boards whose TLS has no ECDSA, begin it with a key of RSA, and give the server
    /// one too: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out FILE
    #[arg(long, value_name = "FILE")]
    pub ca_in: Option<PathBuf>,

    /// The server's private key, in PEM (PKCS #8). Without it, one is made at every start
    #[arg(long, value_name = "FILE")]
    pub server_key: Option<PathBuf>,

    /// One more host name or IP address for the certificate, beside localhost, 127.0.0.1 and ::1. Can be repeated
    #[arg(long, value_name = "NAME")]
    pub server_name: Vec<String>,

    /// Append every accepted report to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Append every request to this file, as a line of JSON: with passwords and access tokens
    #[arg(long, value_name = "FILE")]
    pub record_requests: Option<PathBuf>,

    /// How many requests, and how many reports, are kept in memory. The oldest make way
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000)]
    pub max_records: usize,

    /// How much memory they may take
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub max_memory: usize,

    /// Refuse what does not fit a product's model with 400
    ///
    /// Without it, it is answered with 200 and thrown away, as the platform's manual says.
    #[arg(long)]
    pub strict_model: bool,

    /// How long an access token is valid
    #[arg(long, value_name = "SECONDS", default_value_t = 86_399)]
    pub token_lifetime: u32,

    /// Make access tokens of this number, so that each run issues the same
    #[arg(long, value_name = "NUMBER")]
    pub token_seed: Option<u64>,

    /// Stop the clock at this time, in Unix milliseconds: it moves when it is moved (POST /clock/advance)
    #[arg(long, value_name = "MS")]
    pub stop_clock_at: Option<u64>,

    /// End with exit code 3 if anything was refused or discarded
    #[arg(long)]
    pub fail_on_refusal: bool,

    /// Print no line for each request, and no summary at the end
    ///
    /// With --exit-with-stdin, there are none either unless the standard error is a terminal.
    #[arg(long, short)]
    pub quiet: bool,

    /// A scenario: a TOML file of faults that are armed from the start (see below)
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,

    /// Make the window small that a device may send ahead, so that its writing blocks when the platform does not read
    #[arg(long)]
    pub narrow_window: bool,

    /// End when the standard input is closed, so that the platform never outlives the program that started it
    #[arg(long)]
    pub exit_with_stdin: bool,
}

const AFTER: &str = "\
Output:
  What a client needs, one KEY=VALUE for each line, quoted where a shell demands it; then the line `ready`.
    IOTDA_ENDPOINT        https://HOST:PORT
    IOTDA_CA_FILE         the certificate to trust
    IOTDA_INSPECT         http://HOST:PORT of the inspection API
    IOTDA_DEVICE_ID       a registered device that can authenticate, if there is one
    IOTDA_DEVICE_SECRET   its secret
    IOTDA_GATEWAY_ID      a registered gateway that can authenticate, if there is one
    IOTDA_GATEWAY_SECRET  its secret
  The platform ends on SIGINT, SIGTERM and SIGHUP. A line for each request goes to the standard error.

Inspection API:
  Whoever can reach it sees all that was received, passwords and access tokens too, and can change everything. It takes
  requests for localhost, 127.0.0.1 and [::1] alone, and none of a page of another origin.
  GET    /reports        what was accepted: a JSON list, oldest first
  GET    /requests       every request, accepted or not, and why it was refused; its password or access token with it
  GET    /log            the same, with failed handshakes and what was not HTTP among them
                         ?device= call= result= status= q= since= after= before= limit= wait_ms= choose among them
  GET    /events         the log as it grows, as server-sent events; ?after=NUMBER resumes
  GET    /health         answers when the platform serves: {\"endpoint\":\"https://...\"}
  GET    /ca.pem         the certificate to trust
  GET    /               a page that shows all this as it happens: open IOTDA_INSPECT in a browser
  DELETE /reports        forget both lists (as does DELETE /requests)
  GET    /arrivals       which entries arrived, how often and in which order
  GET    /counters       connections, handshakes, requests, units of 4 KB, ...
  GET    /products, /devices
  POST   /products       {\"product_id\":\"p\",\"services\":{\"wind\":{\"Speed\":\"decimal\"}}}
                         both are optional: without an ID one is made up, without services any are accepted;
                         the application API's CreateProduct, with service_capabilities, will do too
  POST   /devices        {\"product_id\":\"p\",\"node_id\":\"n\"}, and optionally \"device_id\", \"secret\", \"gateway_id\", \"rate\";
                         answers with the device_id (p_n) and the secret; its AddDevice, with auth_info, too
  GET    /clock          the platform's time in Unix milliseconds: {\"now_ms\":1628849410555}
  PUT    /clock          sets it: {\"now_ms\":1628849410555}
  PUT    /devices/ID     {\"secret\":\"...\",\"rate\":5}, both optional; DELETE takes the device away
  POST   /clock/advance  moves it forward: {\"ms\":90000}
  POST   /tokens/expire  makes every access token invalid
  POST   /faults         has something done wrong: {\"kind\":\"answer\",\"status\":503,\"retry_after\":2,\"times\":3}
  GET    /faults         what is done wrong, and how often it was and still will be
  DELETE /faults         nothing more is done wrong; /faults/ID withdraws one
  The platform's clock decides when access tokens expire and rates recover.

Faults:
  A scenario (--scenario) holds what POST /faults takes, as TOML, with a [[fault]] for each:
    [[fault]]
    kind = \"delay\"                          # every kind has parameters of its own
    before = \"header\"
    for_ms = 3000                           # for ever if it is left out
    times = 3                               # these can be left out: how often,
    share = { percent = 10, seed = 1 }      # in which share of the cases,
    device = \"my_device\"                   # to whose requests,
    on = \"auth\"                            # to which call: auth, properties, message, batch
  Kinds of connections, with their parameters (those in brackets can be left out):
    accept_stall     [for_ms]
    wire_cut         direction (received, sent), after, [close (fin, reset, half, silent)]
    wire_drip        every_ms
    handshake_stall  after (client_hello, server_hello, certificate, server_key_exchange, server_hello_done), [for_ms]
    certificate      show (expired, wrong_name, unknown_ca)
    old_tls          version (1.0, 1.1), [reply (alert, server_hello)]
    plain_http
    tls_alert        alert (a number: 40), [after (as for handshake_stall)]
  Kinds of requests; close is fin, close_notify, reset, half, half_close_notify or silent:
    request_cut      after, [close]
    request_unread   [for_ms]
    request_slow     bytes_per_s
    early_answer     those of answer
    token_expired    [grace (true)]
    token_rotated
    answer           status or code or both, [text], [body], [body_hex], [headers], [content_type], [retry_after],
                     [location], [close]
    date             off_s
    content_length   off_by
    chunked          chunk, [unterminated (true)]
    http_1_0
    continue_first   [count]
    huge_header      bytes
    many_headers     count
    garbage          text
    trailing         [text]
    endless          [form (chunked, length, close)]
    raw              send (a list: {\"text\":\"...\"}, {\"hex\":\"efbbbf\"}, {\"repeat\":{\"text\":\"x\",\"count\":9}},
                     \"answer\", \"body\", {\"pause_ms\":10}), [close]
    delay            before (header, body), [for_ms]
    drip             every_ms
    response_cut     after, [close]
    idle_close       [after_ms], [close]
    damaged_record   [when (answer, idle)]
  The documentation of the crate says what each does.

Example:
  $ iotda-platform --device my_device=my-secret --gateway my_gateway=my-secret --ca-out ca.pem
";

/// A device and its secret.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

/// A product and the file of its model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The product's id.
    pub id: String,
    /// The file.
    pub path: PathBuf,
}

fn model(text: &str) -> Result<Model, String> {
    let (id, path) = text.split_once('=').ok_or("write it as ID=FILE")?;
    Ok(Model { id: id.to_owned(), path: path.into() })
}

fn identity(text: &str) -> Result<Identity, String> {
    read_identity(text, "IOTDA_DEVICE_SECRET")
}

fn gateway_identity(text: &str) -> Result<Identity, String> {
    read_identity(text, "IOTDA_GATEWAY_SECRET")
}

fn read_identity(text: &str, variable: &str) -> Result<Identity, String> {
    let (id, secret) = match text.split_once('=') {
        Some((id, secret)) => match secret.strip_prefix('@') {
            Some(path) => (id, secret_of_file(path)?),
            None => (id, secret.to_owned()),
        },
        None => {
            let missing = |_| format!("write it as ID=SECRET or ID=@FILE, or set {variable}");
            (text, std::env::var(variable).map_err(missing)?)
        }
    };
    Ok(Identity { id: id.to_owned(), secret })
}

/// The first line of a file.
fn secret_of_file(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the secret cannot be read: {path}: {error}"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_secret_may_hold_an_equals_sign() {
        let parsed = identity("a=b=c").expect("an identity");
        assert_eq!((parsed.id.as_str(), parsed.secret.as_str()), ("a", "b=c"));
        assert!(identity("a").is_err());
    }
}
