/*
 * What the C++ header promises and that needs no network: who owns what, what converts to what, how what is
 * wrong is refused, and that each callback is destroyed exactly once.
 */
#include "check.hpp"
#include "contract_types.hpp"

#include <array>
#include <atomic>
#include <cmath>
#include <functional>

using namespace std::chrono_literals;

/* In second_unit.cpp. */
std::string json_of_second_unit();
void outcomes_of_a_program();
void header_version();
/* In contract_values.cpp. */
void batches(const iotda::Client &client);
void checks(const iotda::Client &client);
void no_value_of_a_failed_call();
void types_of_the_standard_library(const iotda::Client &client);

using iotda::CStringView, iotda::Props, iotda::Service, iotda::Child, iotda::Span;

static bool is(iotda::Bytes bytes, std::string_view expected) {
    return std::string_view(static_cast<const char *>(bytes.data()), bytes.size()) == expected;
}

static void bytes() {
    const unsigned char raw[] = {'a', 0, 'b'};
    const std::array<std::byte, 2> array{std::byte{'x'}, std::byte{0}};
    CHECK(is("text", "text"));
    CHECK(is(std::string("a\0b", 3), std::string_view("a\0b", 3)));
    CHECK(is(std::string_view("text").substr(1, 2), "ex"));
    CHECK(is(raw, std::string_view("a\0b", 3)));
    CHECK(is({raw, 1}, "a"));
    CHECK(is(array, std::string_view("x\0", 2)));
    CHECK(is(std::vector<std::uint8_t>{'v'}, "v"));
    CHECK(iotda::Bytes().size() == 0 && iotda::Bytes(nullptr, 0).data() == nullptr);
    /* Never beyond an array. */
    const char full[4] = {'f', 'u', 'l', 'l'};
    const char padded[8] = {'h', 'a', 'l', 'f'};
    CHECK(is(full, "full") && is(padded, "half"));
    const char *pointer = padded;
    CHECK(is(pointer, "half"));
    CHECK(CStringView(padded).c_str() == padded);
    CHECK(CStringView(full).c_str() != full);
    CHECK(iotda::TextArgument(full).c_str() != full);
}

/* What is terminated is passed on, not copied, however large. */
static void no_copies() {
    const std::string large(1000000, 'x');
    CHECK(iotda::TextArgument(large).c_str() == large.c_str());
    CHECK(iotda::TextArgument(large.c_str()).c_str() == large.c_str());
    const Service service("s", large);
    CHECK(service.properties == large.c_str() && service.event_time_ms == IOTDA_TIME_NONE);

    /* And what is not is copied: the byte after it is never looked at. */
    const iotda::TextArgument middle(std::string_view("abcdef").substr(1, 3));
    CHECK(std::strcmp(middle.c_str(), "bcd") == 0);
}

static void times() {
    using std::chrono::system_clock;
    const system_clock::time_point at(1628849410555ms + 999us);
    CHECK(Service("s", "{}", at).event_time_ms == 1628849410555);
    /* What is no time of a report, however far away, is not taken for none. */
    constexpr auto least = (std::numeric_limits<std::int64_t>::min)();
    constexpr iotda::SystemTime first(946684800000ms);
    constexpr iotda::SystemTime last(253402300799999ms);
    CHECK(Service("s", "{}", first).event_time_ms == 946684800000);
    CHECK(Service("s", "{}", last).event_time_ms == 253402300799999);
    CHECK(Service("s", "{}", first - 1ms).event_time_ms == least);
    CHECK(Service("s", "{}", last + 1ms).event_time_ms == least);
    CHECK(Service("s", "{}", system_clock::time_point{}).event_time_ms == least);
    using Hours = std::chrono::time_point<system_clock,
                                          std::chrono::duration<std::int64_t, std::ratio<3600>>>;
    CHECK(Service("s", "{}", (Hours::max)()).event_time_ms == least);
    CHECK(Service("s", "{}", (Hours::min)()).event_time_ms == least);
    /* 2^64 ms beyond a time in 2023: it would be that time if it overflowed. */
    using Days = std::chrono::time_point<system_clock,
                                         std::chrono::duration<std::int64_t, std::ratio<86400>>>;
    CHECK(Service("s", "{}", Days(Days::duration(213503982335 + 19600))).event_time_ms == least);
    using Exact = std::chrono::time_point<system_clock, std::chrono::duration<double>>;
    CHECK(Service("s", "{}", Exact(std::chrono::duration<double>(NAN))).event_time_ms == least);
    CHECK(Service("s", "{}", Exact(std::chrono::duration<double>(1628849410.5))).event_time_ms ==
          1628849410500);

    using iotda::detail::milliseconds;
    CHECK(milliseconds(1ns) == 1 && milliseconds(1ms) == 1 && milliseconds(1001us) == 2);
    CHECK(milliseconds(0s) == 0 && milliseconds(-5s) == 0);
    CHECK(milliseconds(std::chrono::hours::max()) == 4294967295u);
    CHECK(milliseconds(std::chrono::hours::min()) == 0);
    CHECK(milliseconds(std::chrono::duration<double>(0.25)) == 250);
    CHECK(milliseconds(std::chrono::duration<double>(std::nan(""))) == 0);
}

static void properties() {
    Props props;
    CHECK(props.json().view() == "{}");
    props.add("least", std::numeric_limits<std::int64_t>::min())
        .add("most", std::numeric_limits<std::uint64_t>::max())
        .add("small", short{-3})
        .add("unsigned", 7u)
        .add("half", 0.5)
        .add("float", 23.24f)
        .add("double", double{23.24f})
        .add("yes", true)
        .add("text", "a \"b\"")
        .add(std::string("string"), std::string("c"))
        .add(std::string_view("view!").substr(0, 4), std::string_view("def").substr(0, 2))
        .add_json("raw", "[12345678901234567890123, 1e400]");
    CHECK(props.status() == iotda::Status::ok && props.failed().empty());
    CHECK(props.json().view() ==
          "{\"least\":-9223372036854775808,\"most\":18446744073709551615,\"small\":-3,"
          "\"unsigned\":7,\"half\":0.5,\"float\":23.24,\"double\":23.239999771118164,\"yes\":true,"
          "\"text\":\"a \\\"b\\\"\","
          "\"string\":\"c\",\"view\":\"de\",\"raw\":[12345678901234567890123, 1e400]}");

    /* What is refused is remembered, by the name of the first. */
    props.clear();
    props.add("good", 1).add("hot", NAN).add("cold", -INFINITY).add("more", 2);
    CHECK_STATUS(invalid_argument, props.status());
    CHECK(props.failed() == "hot");
    CHECK(props.json().view() == "{\"good\":1,\"more\":2}");
    CHECK(std::strcmp(
              props.reason(),
              "leave out or correct the property \"hot\": it is NaN or infinite, which JSON has "
              "not") == 0);
    CHECK(std::strcmp(Service("s", props).properties, "{\"good\":1,\"more\":2}") != 0);
    props.clear();
    props.add("twice", 1).add("twice", 2);
    CHECK(std::strstr(props.reason(), "\"twice\": there is one of this name already") != nullptr);
    props.clear();
    props.add("text", "\xff");
    CHECK(std::strstr(props.reason(), "\"text\": its text is not UTF-8") != nullptr);
    props.clear();
    props.add_json("raw", "{");
    CHECK(std::strstr(props.reason(), "\"raw\": its value is not JSON") != nullptr);
    props.clear();
    props.add(std::string("a\0b", 3), 1);
    CHECK(props.failed().empty() &&
          std::strstr(props.reason(), "its name is empty or not UTF-8") != nullptr);
    props.clear();
    CHECK(std::strlen(props.reason()) == 0);
    CHECK(props.status() == iotda::Status::ok && props.failed().empty());
    CHECK(Service("s", props).properties != nullptr);

    /* Unless the program asks at once. */
    CHECK_STATUS(invalid_argument, props.try_add("hot", NAN));
    CHECK_STATUS(invalid_argument, props.try_add("", 1));
    CHECK_STATUS(invalid_argument, props.try_add("text", "\xff"));
    CHECK_STATUS(invalid_argument, props.try_add_json("raw", "{"));
    CHECK_STATUS(invalid_argument, props.try_add(static_cast<const char *>(nullptr), 1));
    CHECK_STATUS(invalid_argument, props.try_add("text", static_cast<const char *>(nullptr)));
    CHECK_STATUS(ok, props.try_add("cold", -40));
    CHECK(props.status() == iotda::Status::ok && props.json().view() == "{\"cold\":-40}");

    /* A zero byte is no end of a text: the text is refused and not cut. */
    CHECK_STATUS(invalid_argument, props.try_add("zero", std::string("a\0b", 3)));
    CHECK_STATUS(invalid_argument, props.try_add("zero", std::string_view("a\0b", 3)));
    CHECK_STATUS(invalid_argument, props.try_add(std::string("a\0b", 3), 1));
    const std::string cut("{}\0{", 4);
    CHECK(std::strcmp(Service("s", cut).properties, "{}") != 0);

    /* A temporary one can be filled and kept. */
    auto kept = Props().add("a", 1).add("b", 2.5f).add("c", "d").add_json("e", "null");
    CHECK(kept.json().view() == "{\"a\":1,\"b\":2.5,\"c\":\"d\",\"e\":null}");

    Props moved = std::move(props);
    CHECK(moved.json().view() == "{\"cold\":-40}");
    CHECK_STATUS(invalid_argument, props.try_add("a", 1)); // NOLINT: what a moved one does
    CHECK(props.json().c_str() == nullptr && props.json().view().empty());
}

/* Client::make reports a setter that failed, until a later call of it succeeds. */
static void settings() {
    iotda::Config config;
    auto none = iotda::Client::make(config);
    CHECK_STATUS(config, none);
    CHECK(std::strlen(none.message()) > 0 && !none);

    config.set_endpoint("ftp://wrong").set_device(std::string_view("device!").substr(0, 6), "s");
    CHECK_STATUS(ok, config.last_status());
    none = iotda::Client::make(config);
    CHECK_STATUS(config, none);
    CHECK(std::strstr(none.message(), "set_endpoint") != nullptr);
    config.set_endpoint(std::string_view("https://localhost:1234").substr(0, 17));
    CHECK_STATUS(ok, iotda::Client::make(config));

    CHECK_STATUS(invalid_argument,
                 config.set_endpoint(static_cast<const char *>(nullptr)).last_status());
    CHECK_STATUS(invalid_argument,
                 config.set_endpoint(std::string("https://a\0b", 11)).last_status());
    CHECK_STATUS(ok, config.set_endpoint("https://localhost").last_status());
    CHECK_STATUS(invalid_argument, config.set_device("device", "").last_status());
    CHECK_STATUS(ok, config.set_device("device", std::array<unsigned char, 2>{}).last_status());
    CHECK_STATUS(ok, config.set_sign_type(1).last_status());
    CHECK_STATUS(invalid_argument, config.set_sign_type(2).last_status());
    CHECK_STATUS(ok, config.set_sign_type(0).last_status());
    CHECK_STATUS(invalid_argument, config.set_timeout(0s).last_status());
    CHECK_STATUS(invalid_argument, config.set_timeout(-1s).last_status());
    CHECK_STATUS(ok, config.set_timeout(1ns).last_status());
    CHECK_STATUS(invalid_argument, config.set_connect_timeout(0s).last_status());
    CHECK_STATUS(ok, config.set_connect_timeout(5s).last_status());
    CHECK_STATUS(invalid_argument, config.set_attempt_timeout(0s).last_status());
    CHECK_STATUS(ok, config.set_attempt_timeout(std::chrono::minutes(1)).last_status());
    CHECK_STATUS(invalid_argument, config.set_retry(0, 1ms, 1s).last_status());
    CHECK_STATUS(invalid_argument, config.set_retry(3, 1s, 1ms).last_status());
    CHECK_STATUS(ok, config.set_retry(3, 1ms, 1s).last_status());
    CHECK_STATUS(invalid_argument, config.set_rates(-1, 0).last_status());
    CHECK_STATUS(ok, config.set_rates(10, 0).last_status());
    CHECK_STATUS(ok, config.set_pool(4, 30s).last_status());
    CHECK_STATUS(ok, config.set_pool(IOTDA_POOL_AS_USED, 30s).last_status());
    CHECK_STATUS(invalid_argument, config.set_max_connections(0).last_status());
    CHECK_STATUS(ok, config.set_max_connections(1).last_status());
    CHECK_STATUS(ok, config.set_tcp_keepalive(90s).last_status());
    CHECK_STATUS(ok, config.set_tls_1_3(false).last_status());
    CHECK_STATUS(config, config.set_ca_pem("no PEM").last_status());
    CHECK_STATUS(config, config.set_ca_file("/nonexistent").last_status());
    CHECK_STATUS(ok, config.set_ca_file(setting("IOTDA_CA_FILE")).last_status());
    CHECK_STATUS(config, config.add_ca_pem("no PEM").last_status());
    CHECK_STATUS(config, config.add_ca_file("/nonexistent").last_status());
    CHECK_STATUS(ok, config.add_ca_file(setting("IOTDA_CA_FILE")).last_status());
    CHECK_STATUS(config, config.set_client_certificate("x", "y").last_status());
    CHECK_STATUS(invalid_argument, config.add_pinned_key("short").last_status());
    CHECK_STATUS(ok, config.add_pinned_key(std::array<std::uint8_t, 32>{}).last_status());
    CHECK_STATUS(config, config.set_proxy("https://proxy:1").last_status());
    CHECK_STATUS(ok, config.set_proxy("").last_status());
    CHECK_STATUS(ok, config.set_token("").last_status());
    CHECK_STATUS(ok, config.set_authentication(iotda::Authentication::when_asked).last_status());
    CHECK_STATUS(ok, config.set_authentication(iotda::Authentication::when_needed).last_status());
    CHECK_STATUS(invalid_argument,
                 config.set_authentication(static_cast<iotda::Authentication>(2)).last_status());
    config.set_authentication(iotda::Authentication::when_needed);

    iotda::Config moved = std::move(config);
    CHECK_STATUS(invalid_argument, config.set_sign_type(0).last_status()); // NOLINT: as above
    CHECK_STATUS(invalid_argument, iotda::Client::make(config));
    CHECK_STATUS(config, iotda::Client::make(moved));
}

/* Counts the objects that live; a callable that is copied, moved and destroyed. */
struct Counted {
    static inline std::atomic<int> alive{0};
    static inline std::atomic<int> calls{0};

    Counted() {
        alive++;
    }
    Counted(const Counted &) {
        alive++;
    }
    Counted(Counted &&) noexcept {
        alive++;
    }
    ~Counted() {
        alive--;
    }
    std::chrono::system_clock::time_point operator()() const {
        calls++;
        return std::chrono::system_clock::time_point(1s);
    }
    void operator()(iotda::LogLevel, std::string_view) const {
        calls++;
    }
    void operator()(std::string_view, std::string_view) const {
        calls++;
    }
};

struct NoNetwork final : iotda::Transport {
    Counted counted;
    bool is_secure() const noexcept override {
        return false;
    }
    std::unique_ptr<iotda::Connection> connect(const char *, std::uint16_t,
                                               std::chrono::milliseconds,
                                               int cancel_fd) noexcept override {
        CHECK(cancel_fd == -1);
        counted(iotda::LogLevel::error, "");
        return nullptr;
    }
};

static void callbacks_are_destroyed_once() {
    {
        iotda::Config config = config_from_environment();
        config.set_clock(Counted()).set_clock(Counted());
        CHECK(Counted::alive == 1);
        config.set_log(static_cast<iotda::LogLevel>(99), Counted());
        CHECK_STATUS(invalid_argument, config.last_status());
        CHECK(Counted::alive == 1);
        config.set_log(iotda::LogLevel::debug, Counted());
        CHECK(Counted::alive == 2);
        config.set_token_callback(Counted()).set_token_callback(Counted());
        CHECK(Counted::alive == 3);

        auto client = client_of(config);
        auto device = client.open_device("other", "secret", "damaged");
        CHECK_STATUS(ok, device);
        config = iotda::Config();
        client.close();
        CHECK(!client && Counted::alive == 3);
        /* The clock is the program's, and it stands in 1970. */
        CHECK_STATUS(clock, device->auth());
        CHECK(Counted::calls > 0);
    }
    CHECK(Counted::alive == 0);
    {
        iotda::Config config = config_from_environment();
        config.set_clock(Counted()).set_log(iotda::LogLevel::error, Counted());
        config.set_clock(nullptr).set_log(iotda::LogLevel::error, nullptr);
        CHECK(Counted::alive == 0);
        config.set_token_callback(Counted()).set_token_callback(nullptr);
        CHECK(Counted::alive == 0);
        config.set_token_callback(std::function<void(std::string_view, std::string_view)>());
        CHECK_STATUS(ok, config.last_status());
        config.set_clock(std::function<std::chrono::system_clock::time_point()>());
        config.set_log(iotda::LogLevel::error,
                       std::function<void(iotda::LogLevel, std::string_view)>());
        CHECK_STATUS(ok, config.last_status());

        /* What can only be moved is moved. */
        config.set_log(iotda::LogLevel::error, [owned = std::make_unique<Counted>()](
                                                   iotda::LogLevel level, std::string_view line) {
            (*owned)(level, line);
        });
        CHECK(Counted::alive == 1);
        config.set_transport(nullptr);
        CHECK_STATUS(invalid_argument, config.last_status());
        config.set_transport(std::make_unique<NoNetwork>()).set_retry(1, 1ms, 1ms);
        CHECK(Counted::alive == 2);
        auto client = client_of(config);
        Counted::calls = 0;
        CHECK_STATUS(connect, client.report_message("x"));
        CHECK(Counted::calls > 0);
    }
    CHECK(Counted::alive == 0);
    {
        /* Also where there is no config to take them. */
        iotda::Config config;
        iotda::Config moved = std::move(config);
        config.set_clock(Counted()).set_log(iotda::LogLevel::info, Counted()); // NOLINT: as above
        config.set_token_callback(Counted()).set_transport(std::make_unique<NoNetwork>());
        CHECK(Counted::alive == 0);
    }
}

/* What only this header knows of a report becomes its message. */
static void what_is_refused_is_explained(const iotda::Client &client) {
    Props props;
    props.add("good", 1).add("hot", NAN);
    auto refused = client.report_props({"s", props});
    CHECK_STATUS(invalid_argument, refused);
    CHECK(says(refused, "leave out or correct the property \"hot\": it is NaN or infinite, which "
                        "JSON has not (services[0].properties)"));
    CHECK_STATUS(invalid_argument, client.report_props({"s", Props().add("hot", NAN)}));
    const Service good("s", "{}");
    const Service hot("s", props);
    const std::vector<Service> list{good, hot};
    CHECK(says(client.report_props(list), "which JSON has not (services[1].properties)"));
    CHECK(says(client.report_props({good, Service("s", "{}", iotda::SystemTime())}),
               "a time_point of zero is 1970) (services[1].event_time_ms)"));
    const std::string cut("a\0b", 3);
    CHECK(says(client.report_props({cut, "{}"}), "pass a text that ends with its first zero byte"));

    const Child children[] = {{"a b", good}, {"child", hot}};
    auto batch = client.gateway_batch(children);
    CHECK_STATUS(invalid_argument, batch);
    const Child only_hot[] = {{"child", list}};
    batch = client.gateway_batch(only_hot);
    CHECK(says(batch, "(children[0].services[1].properties)"));
    CHECK_STATUS(invalid_argument, batch.child_status(0));
}

static void calls_without_a_network() {
    auto client = client_of(config_from_environment());
    const auto stats = client.stats();
    CHECK_STATUS(ok, stats);
    CHECK(stats->requests == 0 && (*stats).bytes_sent == 0 && stats.value().retries == 0);
    CHECK(!client.server_time());
    auto token = client.export_token();
    CHECK_STATUS(ok, token);
    CHECK(token->empty());
    CHECK(!client.token_remaining());
    char little[1];
    CHECK_STATUS(invalid_argument, client.export_token(iotda::Span<char>(little, 0)));

    /* The time is over: nothing is sent, and each child has that status. */
    CHECK_STATUS(timeout, client.report_message("x", 0s));
    CHECK_STATUS(timeout, client.auth(std::chrono::steady_clock::now()));
    CHECK_STATUS(timeout, client.auth(std::chrono::steady_clock::time_point::min()));
    const Service service("s", "{}");
    const std::vector<Child> children{{"a", service}, {"b", service}};
    auto batch = client.gateway_batch(children, -1s);
    CHECK_STATUS(timeout, batch);
    CHECK(std::strlen(batch.message()) > 0 && batch.size() == 2);
    CHECK_STATUS(timeout, batch.child_status(1));
    iotda_status_t one[1];
    CHECK_STATUS(invalid_argument, client.gateway_batch(children, one));

    iotda::Cancel cancel;
    cancel.trigger();
    CHECK_STATUS(cancelled, client.auth(cancel));
    CHECK_STATUS(cancelled, client.auth(iotda::CallOptions(10s).cancelled_by(cancel)));
    iotda::Cancel moved = std::move(cancel);
    CHECK_STATUS(cancelled, client.auth(moved));
    CHECK_STATUS(invalid_argument, client.auth(cancel)); // NOLINT: what a moved one does
    cancel.trigger();

    CHECK_STATUS(invalid_argument, client.report_props(Span<const Service>()));
    CHECK_STATUS(invalid_argument, client.report_props({"s", "no object"}));
    CHECK_STATUS(invalid_argument, client.report_props({static_cast<const char *>(nullptr), "{}"}));
    CHECK_STATUS(invalid_argument, client.report_message(static_cast<const char *>(nullptr)));
    what_is_refused_is_explained(client);
    batches(client);
    checks(client);
    types_of_the_standard_library(client);
    CHECK_STATUS(invalid_argument, client.import_token("no token"));
    CHECK_STATUS(invalid_argument, client.import_token(std::string("a\0b", 3)));
    CHECK_STATUS(invalid_argument, client.import_token(static_cast<const char *>(nullptr)));
    CHECK_STATUS(invalid_argument, client.report_props_json("{}"));
    CHECK_STATUS(invalid_argument, client.gateway_batch_json(std::string_view()));
    const Child wrong[] = {{"not good", service}, {"", service}};
    batch = client.gateway_batch(wrong);
    CHECK_STATUS(invalid_argument, batch);
    CHECK_STATUS(invalid_argument, batch.child_status(0));
    /* Of a body as well, whether the number of children can be guessed or not. */
    for (const char *body :
         {"{\"devices\":[{},1,[]]}", "{\"devices\":[{\"device_id\":\"\"},{\"device_id\":1},0]}"}) {
        batch = client.gateway_batch_json(body);
        CHECK_STATUS(invalid_argument, batch);
        CHECK(batch.size() == 3 && !batch.is_transient() && !batch.may_have_arrived());
        CHECK_STATUS(invalid_argument, batch.child_status(2));
    }

    /* Without a client, everything is refused. */
    iotda::Client other = std::move(client);
    CHECK(!client && other); // NOLINT: what a moved one does
    CHECK_STATUS(invalid_argument, client.report_message("x"));
    CHECK_STATUS(invalid_argument, client.auth());
    CHECK_STATUS(invalid_argument, client.stats());
    CHECK_STATUS(invalid_argument, client.export_token());
    CHECK(!client.token_remaining());
    CHECK_STATUS(invalid_argument, client.open_device("d", "s"));
    CHECK_STATUS(invalid_argument, client.open_device("d", "s", ""));
    CHECK_STATUS(invalid_argument, client.import_token("no token"));
    batch = client.gateway_batch(children);
    CHECK_STATUS(invalid_argument, batch);
    CHECK_STATUS(invalid_argument, batch.child_status(0));
    CHECK(!client.server_time());
}

/* The C struct, which can be started, and started again. */
static void the_c_struct() {
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK(iotda_auth(nullptr, &call) == IOTDA_E_INVALID_ARGUMENT && call.message[0] != '\0');
    call = IOTDA_CALL_INIT;
    CHECK(call.struct_size == sizeof call && call.message[0] == '\0');
}

int main() {
    the_c_struct();
    no_value_of_a_failed_call();
    outcomes_of_a_program();
    header_version();
    CHECK(std::strcmp(iotda::status_name(iotda::Status::rate_limited), "IOTDA_E_RATE_LIMITED") ==
          0);
    CHECK(std::strlen(iotda::status_text(iotda::Status::ok)) > 0);
    CHECK(iotda::is_transient(iotda::Status::tls) && !iotda::is_transient(iotda::Status::rejected));
    CHECK(std::strcmp(iotda::version(), iotda_version()) == 0);
    bytes();
    no_copies();
    times();
    properties();
    settings();
    callbacks_are_destroyed_once();
    calls_without_a_network();
    CHECK(json_of_second_unit() == "{\"from\":\"the second unit\",\"number\":2}");
    return EXIT_SUCCESS;
}
