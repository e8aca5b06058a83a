/*
 * Reports by every way that the C++ header offers. What must arrive is in ../cpp.rs.
 */
#include "check.hpp"

#include <array>
#include <atomic>

using namespace std::chrono_literals;
using iotda::Child, iotda::Props, iotda::Service;

static void properties(iotda::Client &client) {
    Props props;
    props.add("Height", 124).add("Speed", 23.24).add("Place", "\"Büro\"");
    const iotda::SystemTime measured(1628849410555ms);
    auto sent = client.report_props({std::string("serviceId"), std::move(props), measured});
    CHECK_STATUS(ok, sent);
    CHECK(sent.http_status() == 200 && sent.attempts() == 1 && !sent.retry_after());
    CHECK(sent.message()[0] == '\0' && sent.platform_code()[0] == '\0');

    const std::string object = "{\"raw\": 12345678901234567890123}";
    const std::vector<Service> two{{"first", object}, {"second", "{}", measured}};
    CHECK_STATUS(ok, client.report_props(two, 20s));

    /* A part of a text, that does not end where it ends. */
    const std::string_view text =
        "[{\"services\":[{\"service_id\":\"s\",\"properties\":{\"n\":1}}]}]";
    CHECK_STATUS(ok, client.report_props_json(text.substr(1, text.size() - 2)));
}

/* The same without a list. */
static void properties_in_one_line(iotda::Client &client) {
    const iotda::SystemTime measured(1628849410555ms);
    CHECK_STATUS(ok, client.report_props("one", "{}"));
    CHECK_STATUS(ok, client.report_props("one", Props().add("n", 1), 20s));
    CHECK_STATUS(ok,
                 client.report_props(std::string("one"), std::string("{\"n\":2}"), measured, 20s));
}

static void messages(iotda::Client &client) {
    const std::array<std::byte, 3> bytes{std::byte{0}, std::byte{'a'}, std::byte{0xff}};
    CHECK_STATUS(ok, client.report_message(""));
    CHECK_STATUS(ok, client.report_message(iotda::Bytes()));
    CHECK_STATUS(ok, client.report_message(bytes));
    CHECK_STATUS(ok, client.report_message(std::string_view("not all").substr(4)));
    CHECK_STATUS(
        ok, client.report_message(std::string("owned"), std::chrono::steady_clock::now() + 20s));
    CHECK_STATUS(too_large, client.report_message(std::vector<unsigned char>(1048576)));
}

static void batches(iotda::Client &client) {
    constexpr std::size_t count = 60;
    const Service service("s", "{\"n\":1}");
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; i++)
        ids.push_back("child_" + std::to_string(i));
    std::vector<Child> children;
    for (const auto &id : ids)
        children.emplace_back(id, service);
    auto batch = client.gateway_batch(children);
    CHECK_STATUS(ok, batch);
    CHECK(batch.attempts() == 2 && batch.size() == count);
    for (std::size_t i = 0; i < count; i++)
        CHECK_STATUS(ok, batch.child_status(i));

    /* One child is another's: the others are delivered. */
    const Service several[] = {{"s", "{}"}, {"t", "{}"}};
    const std::array<Child, 3> mixed{Child("before", several), Child("second", service),
                                     Child("after", service)};
    std::array<iotda_status_t, 3> statuses{};
    CHECK_STATUS(partial, client.gateway_batch(mixed, statuses));
    CHECK(statuses[0] == IOTDA_OK && statuses[1] == IOTDA_E_UNKNOWN_CHILD &&
          statuses[2] == IOTDA_OK);

    batch = client.gateway_batch_json("{\"devices\":[{\"device_id\":\"by_json\",\"services\":"
                                      "[{\"service_id\":\"s\",\"properties\":{ }}]},{}]}");
    CHECK_STATUS(partial, batch);
    CHECK(batch.size() == 2);
    CHECK_STATUS(ok, batch.child_status(0));
    CHECK_STATUS(invalid_argument, batch.child_status(1));
}

/* One that is filled from what is gone by then. */
static void batch_of_its_own(iotda::Client &client) {
    const iotda::SystemTime measured(1628849410555ms);
    iotda::Batch batch;
    for (const char *id : {"own_1", "own_2"})
        batch.child(std::string(id))
            .service(std::string("s"), Props().add("id", id), measured)
            .service("t", std::string("{}"));
    for (int i = 0; i < 2; i++) {
        const auto sent = client.gateway_batch(batch, 20s);
        CHECK_STATUS(ok, sent);
        CHECK(sent.size() == 2 && sent.attempts() == 1);
    }
}

/* Its token is given to the program, and spares another client an authentication. */
static void other_device(iotda::Client &client, std::vector<std::string> &tokens) {
    const char *secret = setting("IOTDA_DEVICE_SECRET");
    tokens.clear();
    auto device = client.open_device("second", secret);
    CHECK_STATUS(ok, device);
    CHECK_STATUS(ok, device->report_message("from the second"));
    CHECK(tokens.size() == 2 && tokens[0] == "second" && tokens[1] == *device->export_token());

    auto config = config_from_environment();
    config.set_authentication(iotda::Authentication::when_asked);
    auto elsewhere = client_of(config);
    auto other = elsewhere.open_device("second", secret);
    CHECK_STATUS(ok, other);
    const auto refused = other->report_message("x");
    CHECK_STATUS(token_rejected, refused);
    CHECK(refused.http_status() == 0 && says(refused, "import a token"));
    CHECK_STATUS(ok, other->import_token(tokens[1]));
    CHECK_STATUS(ok, other->report_message("with its token"));
    CHECK_STATUS(invalid_argument, elsewhere.import_token(tokens[1]));
    other = elsewhere.open_device("second", secret, std::string_view(tokens[1]));
    CHECK_STATUS(ok, other);
    CHECK_STATUS(ok, other->report_message("once more"));
    CHECK(elsewhere.stats()->authentications == 0 && tokens.size() == 2);
}

int main() {
    std::atomic<int> lines{0};
    auto config = config_from_environment();
    config.set_log(iotda::LogLevel::debug, [&lines](iotda::LogLevel, std::string_view line) {
        CHECK(line.find(setting("IOTDA_DEVICE_SECRET")) == std::string_view::npos);
        lines++;
    });
    std::vector<std::string> tokens;
    config.set_token_callback([&tokens](std::string_view device_id, std::string_view token) {
        tokens.emplace_back(device_id);
        tokens.emplace_back(token);
    });
    auto client = client_of(config);
    CHECK_STATUS(ok, client.auth(20s));
    CHECK(tokens.size() == 2 && tokens[0] == setting("IOTDA_DEVICE_ID"));
    properties(client);
    properties_in_one_line(client);
    messages(client);
    batches(client);
    batch_of_its_own(client);
    other_device(client, tokens);

    CHECK(lines > 0);
    auto stats = client.stats();
    CHECK_STATUS(ok, stats);
    CHECK(stats->authentications == 2 && stats->handshakes_full == 1 && stats->retries == 0);
    const auto time = client.server_time();
    CHECK(time && *time > iotda::SystemTime(1700000000s));

    /* After a restart the token serves on. */
    auto token = client.export_token();
    CHECK_STATUS(ok, token);
    CHECK(token->size() > 32 && std::strlen(token->c_str()) == token->size());
    std::array<char, 512> room{};
    auto length = client.export_token(room);
    CHECK_STATUS(ok, length);
    /* The text also holds the expiry, which is computed anew each time. The token comes last. */
    const std::string_view again(room.data(), *length);
    CHECK(again.substr(again.rfind(' ')) == token->substr(token->rfind(' ')));
    CHECK(again.size() - again.rfind(' ') > 32 && room[*length] == '\0');
    client = iotda::Client();
    config.set_token(*token);
    client = client_of(config);
    CHECK_STATUS(ok, client.report_message("after the restart"));
    CHECK(client.stats()->authentications == 0);
    return EXIT_SUCCESS;
}
