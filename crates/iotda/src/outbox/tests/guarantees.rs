//! Which tests prove which of the guarantees on the page of [`crate::outbox`]: a row without one fails here. What the crate
//! `libiotda` tests of the package is named by its file, since it cannot be seen from here.

use std::path::{Path, PathBuf};

/// A row by its first words, and the tests that fail if it does not hold.
const PROVEN: [(&str, &[&str]); 24] = [
    (
        "a put returns, [`sync_within`](OutboxOptions::sync_within) zero",
        &[
            "a_power_cut_that_drops_sectors_loses_nothing",
            "a_power_cut_that_drops_names_loses_nothing",
            "with_window_0_a_put_is_on_the_device_when_it_returns",
            "a_killed_process_loses_nothing_and_repeats_only_what_was_in_flight",
            "what_a_killed_process_put_is_delivered_by_the_next_one",
            "syncs_and_modes_are_asked_of_the_kernel",
        ],
    ),
    (
        "a put returns, `sync_within` above zero",
        &[
            "within_the_window_a_put_makes_no_call_and_the_sync_comes_in_time",
            "a_thread_syncs_in_time_what_was_put_and_what_was_answered",
            "what_is_delivered_before_its_sync_is_never_written",
            "at_most_256_kib_wait_in_memory",
            "puts_go_on_during_a_sync_that_takes_long_until_256_kib_wait",
            "what_was_put_before_its_sync_has_its_space_in_a_file_on_a_device_that_is_full",
            "where_the_file_system_reserves_nothing_a_put_goes_on_without",
        ],
    ),
    (
        "a put fails",
        &[
            "a_put_that_gave_up_is_not_delivered_by_this_process",
            "each_call_fails_once_at_each_position_and_the_answer_to_the_put_is_true",
            "what_is_wrong_is_refused_at_the_put_and_nothing_is_kept",
            "an_entry_may_be_as_large_as_a_quarter_of_the_outbox",
            "a_failure_of_the_storage_says_what_to_do_and_what_the_system_said",
        ],
    ),
    (
        "a sync fails after a put returned",
        &[
            "until_a_failed_sync_has_succeeded_every_put_fails_and_the_entries_stay",
            "after_a_failed_sync_everything_goes_into_another_file",
            "a_failure_of_the_files_is_in_the_statistics_until_it_is_over",
        ],
    ),
    (
        "delivered",
        &[
            "only_an_answer_of_the_platform_is_a_delivery",
            "an_hour_of_a_proxys_pages_loses_nothing_and_makes_no_dead_letter",
        ],
    ),
    (
        "duplicates",
        &[
            "a_kill_loses_nothing",
            "a_power_cut_that_drops_sectors_loses_nothing",
            "answers_are_synced_within_a_second_and_written_at_once",
            "a_destroyed_page_costs_that_page_and_nothing_when_commits_are_padded",
            "a_destroyed_page_repeats_the_answers_that_were_recorded_on_it_and_no_others",
            "a_destroyed_first_page_repeats_no_more_when_what_was_before_it_is_removed",
            "a_flipped_bit_costs_one_entry_at_most",
            "a_damaged_record_is_skipped_and_counted_whatever_it_is",
        ],
    ),
    (
        "order",
        &[
            "after_an_hour_of_outage_all_arrive_in_order_in_few_requests",
            "neighbours_become_one_request_and_messages_keep_their_place",
            "children_become_batches_and_all_kinds_keep_their_order",
            "requests_hold_what_was_put",
        ],
    ),
    (
        "sending",
        &[
            "a_lane_is_offered_once_and_not_while_its_request_is_under_way",
            "lanes_take_turns",
            "as_many_requests_are_under_way_as_were_asked_for_and_each_is_of_another_lane",
            "a_lane_that_must_wait_for_its_pace_is_passed_over",
        ],
    ),
    (
        "company",
        &[
            "children_become_batches_of_fifty_and_the_readings_of_one_child_one_element",
            "a_body_is_filled_to_its_limit_and_not_beyond",
            "ten_thousand_entries_of_140_bytes_count_at_most_400_units",
            "children_of_one_sender_go_together_and_nobody_else",
        ],
    ),
    (
        "event time",
        &[
            "only_services_without_a_time_are_stamped",
            "a_clock_of_1970_that_becomes_right_leaves_no_time_of_1970",
            "a_wrong_clock_that_leaps_in_the_middle_of_a_lane_is_corrected_before_and_after",
            "a_clock_that_is_off_by_less_than_a_minute_is_left_alone",
            "children_become_batches_and_all_kinds_keep_their_order",
        ],
    ),
    (
        "age ([`max_age`](OutboxOptions::max_age))",
        &[
            "an_entry_lives_to_its_age_and_no_longer",
            "a_machine_that_slept_counts_its_sleep_in_ages_and_changes_no_time",
            "age_counts_sleep_and_crosses_starts_only_between_trusted_clocks",
            "old_entries_expire_by_the_boot_clock_and_those_of_unknown_age_never",
            "entries_of_a_device_that_is_never_attached_expire_as_well",
            "each_fate_has_its_line_and_its_outcome",
        ],
    ),
    (
        "refused data",
        &[
            "the_platforms_codes_speak_of_what_was_sent",
            "only_an_answer_of_the_platform_is_a_delivery",
            "poison_costs_a_search_and_becomes_dead_letters",
            "eight_refusals_in_a_row_stop_the_lane",
            "letters_that_make_room_for_newer_ones_are_counted",
        ],
    ),
    (
        "dead letters",
        &[
            "a_letter_is_durable_before_its_entry_is_settled",
            "the_division_of_the_space",
            "two_full_files_lose_the_older_one_and_count_it",
            "what_goes_with_an_older_file_is_lost_unless_it_is_forgotten",
            "letters_that_make_room_for_newer_ones_are_counted",
            "a_dead_letter_that_cannot_be_kept_is_counted",
            "each_fate_has_its_line_and_its_outcome",
        ],
    ),
    ("unknown child", &["an_unknown_child_stops_its_lane_alone_and_is_a_dead_letter_after_a_day"]),
    (
        "authentication refused",
        &[
            "a_device_that_may_not_authenticate_is_locked_out_and_a_network_that_is_away_is_away_for_all",
            "a_device_that_is_locked_out_stops_alone_until_it_is_attached",
        ],
    ),
    (
        "no token, where [only the program authenticates](crate::Config::authenticate_when_asked)",
        &[
            "an_outbox_waits_for_a_token_and_delivers_with_the_one_that_comes",
            "a_device_without_a_token_holds_no_other_up",
        ],
    ),
    (
        "a device that is gone",
        &[
            "an_attached_device_is_delivered_for_after_its_client_is_gone",
            "another_client_for_the_same_device_replaces_the_one_that_was_attached",
            "entries_of_devices_that_are_not_attached_wait_and_can_be_discarded",
            "all_of_a_device_is_discarded_as_sender_and_as_child",
        ],
    ),
    (
        "outage",
        &[
            "pauses_grow_from_a_second_to_five_minutes_and_are_drawn_from_all_of_that",
            "when_the_network_is_back_pauses_end_within_a_second",
            "what_is_put_during_an_outage_arrives_once_and_in_order_when_the_platform_is_back",
        ],
    ),
    (
        "damage on disk",
        &[
            "a_damaged_record_is_skipped_and_counted_whatever_it_is",
            "arbitrary_files_are_opened",
            "each_read_fails_once_and_costs_nothing",
            "an_unreadable_page_is_skipped_and_its_file_left_in_place",
            "a_page_that_reads_as_zeros_costs_what_was_on_it_and_is_not_counted",
            "a_file_that_cannot_be_opened_now_refuses_the_start_and_one_that_never_will_be_does_not",
        ],
    ),
    (
        "full",
        &[
            "letters_and_entries_take_no_more_than_the_bound_together",
            "a_full_outbox_refuses_or_drops_the_oldest",
            "what_is_under_way_is_not_dropped",
            "what_is_dropped_is_the_largest_lanes_and_no_more_than_needed",
            "a_share_is_asked_only_when_three_quarters_are_used_and_never_of_a_single_device",
            "devices_that_can_never_be_delivered_leave_the_others_a_quarter_of_the_space",
        ],
    ),
    ("fork", &["what_was_abandoned_can_be_used_by_another_and_no_longer_here", "libiotda/tests/c/outbox.c"]),
    (
        "another process",
        &[
            "the_directory_is_made_locked_and_closed_to_others",
            "what_a_killed_process_put_is_delivered_by_the_next_one",
            "libiotda/tests/c/outbox.c",
            "libiotda/tests/faults.rs",
        ],
    ),
    (
        "fault of the library",
        &[
            "a_fault_of_the_library_in_a_thread_is_reported_once_and_ends_in_errors_and_not_in_silence",
            "each_refusal_has_its_kind",
        ],
    ),
    (
        "secrets",
        &[
            "neither_secret_nor_token_nor_endpoint_is_on_disk",
            "the_directory_is_made_locked_and_closed_to_others",
            "a_directory_that_cannot_be_closed_to_others_is_logged",
        ],
    ),
];

/// The source files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn each_guarantee_names_tests_that_are_there() {
    let page = include_str!("../mod.rs");
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "//! | moment | what holds |")
        .skip(2)
        .map_while(|line| line.strip_prefix("//! | "))
        .map(|row| row.split(" | ").next().unwrap())
        .collect();
    let proven: Vec<&str> = PROVEN.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, proven);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths =
        ["src/outbox", "tests/over_the_wire"].into_iter().flat_map(|directory| sources(&crates.join(directory)));
    // Tests within a file's module, or a macro, are indented.
    let unindented = |text: String| text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    let texts: Vec<String> = paths.map(|path| unindented(std::fs::read_to_string(path).unwrap())).collect();
    for (row, tests) in PROVEN {
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            let is_there = if test.contains('/') {
                crates.join("..").join(test).is_file()
            } else {
                texts.iter().any(|text| text.contains(&format!("#[test]\nfn {test}(")))
            };
            assert!(is_there, "{row}: there is no test {test}");
        }
    }
}
