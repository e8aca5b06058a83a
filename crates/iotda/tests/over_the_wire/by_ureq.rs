//! The same tests over a ureq agent: with the feature `ureq`, one test runs this program once more, with [`SWITCH`] set
//! and without the tests of [`SKIPPED`].

use iotda::Config;

/// The variable of the environment that makes the tests' configs use a ureq agent.
#[cfg(feature = "ureq")]
const SWITCH: &str = "IOTDA_TESTS_BY_UREQ";

/// Makes a config trust the authorities of a PEM text, by the way that is tested.
pub fn trust(config: &mut Config, pem: &str) {
    #[cfg(feature = "ureq")]
    if std::env::var_os(SWITCH).is_some() {
        config.ureq(agent(pem));
        return;
    }
    config.ca_pem(pem.as_bytes()).unwrap();
}

#[cfg(feature = "ureq")]
pub use enabled::agent;

#[cfg(feature = "ureq")]
mod enabled {
    use std::process::Command;

    use ureq::Agent;
    use ureq::tls::{Certificate, RootCerts, TlsConfig};

    use super::SWITCH;

    const CANCEL: &str = "ureq cannot end a request from another thread";
    const TRUST: &str = "whom to trust, and as whom to appear, is set in the agent and not in the config";
    const ROUTE: &str = "proxies and transports are set in the agent and not in the config";
    const POOL: &str = "the connections are the agent's, and shared by all clients that are made of the config";
    const CLOCK: &str = "the agent checks certificates by the system's clock";
    const HANDSHAKE: &str = "ureq does not say how far a handshake came";
    const TIME: &str = "ureq has a time-out for the whole of a request, and none for what does not move";
    const LAST: &str = "ureq says what befell it at the last address";
    const BEHIND: &str = "ureq takes what lies behind an answer for the next one";
    const BYTES: &str = "what fields and records a request is made of is ureq's business";
    const GRAMMAR: &str = "ureq reads by the grammar alone";

    /// What is not run, and why.
    const SKIPPED: &[(&str, &str)] = &[
        ("bookkeeping::nothing_is_counted_that_was_not_sent", HANDSHAKE),
        ("connections::an_upload_that_is_slow_but_moves_arrives_in_one_attempt", TIME),
        ("connections::bytes_behind_an_answer_are_not_the_next_answer", BEHIND),
        ("connections::the_beginning_of_a_record_behind_an_answer_ends_its_connection", BEHIND),
        ("connections::the_second_address_serves_where_the_first_is_another_machine", TIME),
        ("connections::where_no_other_address_serves_the_error_is_that_of_the_certificate", LAST),
        ("faults::oddities_that_are_no_answer_are_told_as_such", POOL),
        ("faults::the_wire_cut_at_every_offset_of_what_the_client_sends", POOL),
        ("faults::the_wire_cut_at_every_offset_of_what_the_platform_sends", POOL),
        ("faults::time_faults_end_with_the_call", POOL),
        ("odd_answers::an_answer_that_needs_leniency_counts_and_ends_its_connection", GRAMMAR),
        ("persistence::a_call_can_be_cancelled_wherever_it_waits", CANCEL),
        ("persistence::connections_are_kept_as_many_and_as_long_as_configured", POOL),
        ("reports::a_request_is_what_the_page_documents_and_nothing_more", BYTES),
        ("routes::a_proxy_passes_the_connection_on", ROUTE),
        ("routes::a_proxys_answer_may_be_long_and_end_its_lines_in_lf_alone", ROUTE),
        ("routes::a_transport_of_the_programs_own_carries_our_tls", ROUTE),
        ("routes::a_transport_of_the_programs_own_keeps_deadlines_and_can_be_cancelled", ROUTE),
        ("routes::a_transport_that_does_not_connect_is_a_connect_error", ROUTE),
        ("routes::a_transport_that_does_tls_itself_gets_none_of_ours", ROUTE),
        ("routes::proxies_that_refuse_are_told_apart", ROUTE),
        ("tls::a_client_certificate_is_shown_where_it_is_demanded", TRUST),
        ("tls::a_clock_that_is_not_set_is_told_before_anything_is_sent", CLOCK),
        ("tls::a_new_connection_resumes_the_session", POOL),
        ("tls::a_pinned_key_is_demanded_beside_everything_else", TRUST),
        ("tls::an_authority_can_be_added_to_those_that_are_trusted", TRUST),
        ("tls::another_authority_is_not_trusted", TRUST),
        ("tls::damage_and_faults_of_the_server_are_tried_again", HANDSHAKE),
        ("tls::tls_1_3_is_spoken_only_where_it_is_asked_for", TRUST),
        ("wire::a_report_is_one_record_and_a_large_message_is_full_records", BYTES),
    ];

    /// An agent that trusts the authorities of a PEM text.
    pub fn agent(pem: &str) -> Agent {
        let authority = Certificate::from_pem(pem.as_bytes()).unwrap();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[authority])).build();
        // As many as the tests have threads.
        Agent::config_builder().tls_config(tls).proxy(None).max_idle_connections_per_host(8).build().into()
    }

    #[test]
    fn what_the_agent_decides_is_not_set_beside_it() {
        let platform = crate::device::platform();
        let config = || {
            let mut config = iotda::Config::new();
            config.endpoint(platform.url()).unwrap().device(crate::device::ID, crate::device::SECRET).unwrap();
            config.ureq(agent(platform.ca_pem()));
            config
        };
        iotda::Client::new(&config()).unwrap().report_message(b"x", iotda::CallOptions::new()).unwrap();
        let settings: [fn(&mut iotda::Config, &str); 4] = [
            |config, pem| _ = config.ca_pem(pem.as_bytes()).unwrap(),
            |config, pem| _ = config.add_ca_pem(pem.as_bytes()).unwrap(),
            |config, _| _ = config.pin_public_key([7; 32]),
            |config, _| _ = config.proxy("http://127.0.0.1:1").unwrap(),
        ];
        for set in settings {
            let mut config = config();
            set(&mut config, platform.ca_pem());
            let error = iotda::Client::new(&config).unwrap_err();
            assert_eq!(error.kind(), iotda::ErrorKind::Config, "{error}");
        }
    }

    #[test]
    fn everything_else_runs_over_ureq() {
        if std::env::var_os(SWITCH).is_some() {
            return;
        }
        let this = std::env::current_exe().unwrap();
        let listed = Command::new(&this).arg("--list").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let mut command = Command::new(&this);
        command.env(SWITCH, "1").args(["--exact", "--skip", "by_ureq::enabled::everything_else_runs_over_ureq"]);
        for (name, why) in SKIPPED {
            assert!(listed.contains(&format!("{name}: test")), "there is no test {name}");
            println!("skipped over ureq: {name}: {why}");
            command.args(["--skip", name]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
