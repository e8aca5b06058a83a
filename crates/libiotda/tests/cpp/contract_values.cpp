/*
 * What the C++ header promises of values: batches that own what is in them, reports that are only checked, and what the
 * standard library knows of outcomes. A part of the program of contract.cpp.
 */
#include "check.hpp"

#include <iotda/format.hpp>

#include <cmath>
#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using iotda::Batch, iotda::Child, iotda::Props, iotda::Service, iotda::Status;

void batches(const iotda::Client &client);
void checks(const iotda::Client &client);
void no_value_of_a_failed_call();
void types_of_the_standard_library(const iotda::Client &client);

/* Filled from temporaries in a loop, while its memory moves: nothing in it refers to them. */
static Batch filled(std::size_t children) {
    Batch batch;
    for (std::size_t i = 0; i < children; i++) {
        const std::string id = "child_" + std::to_string(i) + std::string(i % 40, 'x');
        batch.child(id);
        for (std::size_t service = 0; service <= i % 3; service++)
            batch.service(std::string("s") + std::to_string(service), Props().add("n", i));
    }
    return batch;
}

void batches(const iotda::Client &client) {
    const auto batch = filled(500);
    CHECK(batch.size() == 500 && !batch.empty());
    CHECK(std::strcmp(batch.child_id(7), "child_7xxxxxxx") == 0);
    CHECK_STATUS(ok, iotda::Client::check_batch(batch));
    auto copy = batch;
    copy.child("one more");
    const auto checked = iotda::Client::check_batch(copy);
    CHECK_STATUS(invalid_argument, checked);
    CHECK(checked.size() == 501 && says(checked, "children[500]"));
    CHECK_STATUS(ok, checked.child_status(499));
    CHECK_STATUS(invalid_argument, checked.child_status(500));
    const Batch moved = std::move(copy);
    CHECK(moved.size() == 501 && batch.size() == 500);

    /* What is wrong is said by the call, with its place, and holds nothing else back. */
    const std::string cut("a\0b", 3);
    auto wrong = Batch()
                     .child("good")
                     .service("s", "{}")
                     .child("hot")
                     .service("s", std::string_view("{}x").substr(0, 2))
                     .service("s", Props().add("hot", NAN))
                     .child(cut)
                     .service("s", "{}")
                     .child("old")
                     .service("s", std::string("{}"), iotda::SystemTime(1s))
                     .child("null")
                     .service("s", static_cast<const char *>(nullptr))
                     .child("not JSON")
                     .service(std::string("s"), std::string("{"));
    auto report = client.gateway_batch(wrong, 0s);
    CHECK_STATUS(timeout, report);
    report = iotda::Client::check_batch(wrong);
    CHECK(says(report, "which JSON has not (children[1].services[1].properties)"));
    CHECK(report.size() == 6);
    CHECK_STATUS(ok, report.child_status(0));
    for (std::size_t i = 1; i < report.size(); i++)
        CHECK_STATUS(invalid_argument, report.child_status(i));

    wrong.clear();
    CHECK(wrong.empty());
    CHECK_STATUS(invalid_argument, iotda::Client::check_batch(wrong));
    /* A service of no child is one of a child without an id. */
    wrong.service("s", "{}");
    CHECK(wrong.size() == 1 && wrong.child_id(0) == nullptr);
    CHECK(says(iotda::Client::check_batch(wrong), "children[0].device_id"));
    wrong.clear();
    wrong.child("c").service("s", "{}");
    CHECK_STATUS(ok, iotda::Client::check_batch(wrong));
    CHECK_STATUS(invalid_argument, iotda::Outbox().put_batch(client, wrong));
    CHECK_STATUS(invalid_argument, iotda::Client().gateway_batch(wrong));
}

/* What is refused without being sent: as the report of the same name, and without a client. */
void checks(const iotda::Client &client) {
    using iotda::Client;
    iotda::Props hot;
    hot.add("hot", NAN);
    const Service good("s", "{}");
    CHECK_STATUS(ok, Client::check_props({"s", iotda::Props().add("n", 1)}));
    CHECK_STATUS(ok, Client::check_props({good, Service("t", "{}")}));
    CHECK_STATUS(invalid_argument, Client::check_props(iotda::Span<const Service>()));
    const std::vector<Service> list{good, Service("s", hot), Service("s", "[]")};
    const auto checked = Client::check_props(list);
    CHECK(says(checked, "which JSON has not (services[1].properties)"));
    CHECK(std::strcmp(checked.message(), client.report_props(list).message()) == 0);
    CHECK_STATUS(
        ok, Client::check_props_json("{\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}"));
    CHECK_STATUS(invalid_argument, Client::check_props_json("{}"));
    CHECK_STATUS(ok, Client::check_message(""));
    CHECK_STATUS(too_large, Client::check_message(std::string(1048576, 'x')));
    const Child children[] = {{"a", good}, {"b", list}, {"c c", good}};
    const auto batch = Client::check_batch(children);
    CHECK_STATUS(invalid_argument, batch);
    CHECK(batch.size() == 3 && says(batch, "which JSON has not (children[1].services[1]"));
    CHECK_STATUS(ok, batch.child_status(0));
    CHECK_STATUS(invalid_argument, batch.child_status(2));
    CHECK_STATUS(ok, Client::check_batch(iotda::Span<const Child>(children, 1)));
    CHECK_STATUS(invalid_argument, Client::check_batch(iotda::Span<const Child>()));
}

/* The value of a call that failed ends the program, and does not pass for one. */
void no_value_of_a_failed_call() {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        std::freopen("/dev/null", "w", stderr);
        std::signal(SIGABRT, [](int) { std::_Exit(42); });
        auto none = iotda::Client::make(iotda::Config());
        (void)none.value();
        std::_Exit(EXIT_SUCCESS);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void error_codes() {
    std::error_code code = iotda::Outcome(Status::timeout).status();
    CHECK(code && code.value() == IOTDA_E_TIMEOUT && code.category() == iotda::error_category());
    CHECK(code == std::errc::timed_out && code == Status::timeout && code != Status::dns);
    CHECK(code.message() == iotda::status_text(Status::timeout));
    CHECK(std::string_view(code.category().name()) == "iotda");
    code = Status::ok;
    CHECK(!code);
    /* Each has a text, and none is taken for success. */
    for (int status = IOTDA_OK + 1; status <= IOTDA_E_EXPIRED; status++) {
        const auto one = iotda::make_error_code(Status{status});
        CHECK(one && one.default_error_condition() && !one.message().empty());
    }
}

#ifdef __cpp_lib_jthread
static void stop_tokens(const iotda::Client &client) {
    std::stop_source source;
    const iotda::CallOptions options(source.get_token());
    auto copy = options;
    CHECK_STATUS(timeout, client.auth(iotda::CallOptions(0s).cancelled_by(source.get_token())));
    source.request_stop();
    for (const auto &each : {options, copy, iotda::CallOptions(source.get_token())})
        CHECK_STATUS(cancelled, client.auth(each));
    CHECK_STATUS(cancelled, client.report_message("x", source.get_token()));
    /* What is given last counts. */
    iotda::Cancel idle;
    CHECK_STATUS(cancelled, client.auth(iotda::CallOptions(idle).cancelled_by(source.get_token())));
    const std::stop_source running;
    idle.trigger();
    CHECK_STATUS(cancelled,
                 client.auth(iotda::CallOptions(running.get_token()).cancelled_by(idle)));
}
#endif

#ifdef __cpp_lib_expected
static void expected(const iotda::Client &client) {
    const auto failed = client.report_message("x", 0s).to_expected();
    CHECK(!failed.has_value());
    CHECK_STATUS(timeout, failed.error());
    CHECK(client.check_message("x").to_expected().has_value());
    auto none = iotda::Client::make(iotda::Config()).to_expected();
    CHECK(!none && says(none.error(), "endpoint"));
    auto some = iotda::Client::make(config_from_environment()).to_expected();
    CHECK(some.has_value());
    CHECK_STATUS(timeout, some->auth(0s));
    const iotda::Result<std::string> text(std::string("text"));
    CHECK(text.to_expected().value() == "text" && *text == "text");
    const auto batch = iotda::Client::check_batch(Batch().child("a").service("s", "{}").child("b"));
    CHECK(batch.to_expected().error().size() == 2);
}
#endif

#ifdef __cpp_lib_format
static void formats() {
    const iotda::Outcome outcome(Status::dns, "no name");
    CHECK(std::format("{}", outcome) == "IOTDA_E_DNS: no name");
    CHECK(std::format("{:>20}|", iotda::Outcome()) == "            IOTDA_OK|");
    CHECK(std::format("{:*<14}", Status::dns) == "IOTDA_E_DNS***");
    const std::string most(255, 'm');
    CHECK(std::format("{}", iotda::BatchOutcome(iotda::Outcome(Status::partial, most), {})) ==
          "IOTDA_E_PARTIAL: " + most);
    CHECK(std::format("{}", iotda::Result<int>(outcome)) == "IOTDA_E_DNS: no name");
}
#endif

void types_of_the_standard_library(const iotda::Client &client) {
    error_codes();
#ifdef __cpp_lib_jthread
    stop_tokens(client);
#endif
#ifdef __cpp_lib_expected
    expected(client);
#endif
#ifdef __cpp_lib_format
    formats();
#endif
    CHECK_STATUS(timeout, client.report_props("s", "{}", 0s));
    CHECK_STATUS(timeout, client.report_props("s", Props().add("n", 1), 0s));
    CHECK_STATUS(timeout, client.report_props(std::string("s"), std::string("{}"),
                                              std::chrono::system_clock::now(), 0s));
    CHECK(says(client.report_props("s", Props().add("hot", NAN)), "(services[0].properties)"));
    CHECK(says(client.report_props("s", "{}", iotda::SystemTime()), "a time_point of zero"));
}
