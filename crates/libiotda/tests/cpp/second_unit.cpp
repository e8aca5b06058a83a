/* The header once more in the same program: nothing of it is defined twice. */
#include "check.hpp"

std::string json_of_second_unit();
void outcomes_of_a_program();
void header_version();

std::string json_of_second_unit() {
    iotda::Props props;
    props.add("from", "the second unit").add("number", 2u);
    iotda::Config config;
    config.set_endpoint("https://localhost").set_device("device", "secret").set_clock([] {
        return std::chrono::system_clock::now();
    });
    auto client = client_of(config);
    CHECK_STATUS(timeout, client.report_props({"s", props}, std::chrono::seconds(0)));
    return std::string(props.json().view());
}

struct Text {
    std::string text;
    Text &operator<<(const char *more) {
        text += more;
        return *this;
    }
};

/* Outcomes can be members, and made by a program's tests. */
void outcomes_of_a_program() {
    iotda::Outcome last;
    CHECK(last.ok() && last.message()[0] == '\0');
    last = iotda::Outcome(iotda::Status::server, "no answer today");
    CHECK_STATUS(server, last);
    CHECK(says(last, "no answer today") && last.is_transient() && !last.may_have_arrived());
    CHECK(says(iotda::Outcome(iotda::Status::dns), iotda::status_text(iotda::Status::dns)));
    CHECK(iotda::Outcome(iotda::Status::ok, "x").message()[0] == '\0');
    const std::string eacute = "\xc3\xa9";
    std::string long_text = "x";
    for (int i = 0; i < 200; i++)
        long_text += eacute;
    CHECK(iotda::Outcome(iotda::Status::dns, long_text).message() == long_text.substr(0, 255));
    long_text.insert(0, "x");
    CHECK(iotda::Outcome(iotda::Status::dns, long_text).message() == long_text.substr(0, 254));

    const iotda::BatchOutcome batch(last, {iotda::Status::ok, iotda::Status::server});
    CHECK(batch.size() == 2 && iotda::BatchOutcome().size() == 0);
    CHECK_STATUS(server, batch.child_status(1));
    CHECK(*iotda::Result<int>(7) == 7);
    CHECK_STATUS(server, iotda::Result<int>(last));
    CHECK_STATUS(internal, iotda::Result<int>(iotda::Outcome()));

    Text text;
    text << last << "; " << iotda::Outcome();
    CHECK(text.text == "IOTDA_E_SERVER: no answer today; IOTDA_OK");
}

/* The namespace inside of iotda is of this version. */
void header_version() {
#define TEXT_OF(name) TEXT_OF_IT(name)
#define TEXT_OF_IT(name) #name
    std::string expected = std::string("v") + iotda_version();
    for (auto &c : expected)
        if (c == '.')
            c = '_';
    CHECK(expected == TEXT_OF(IOTDA_HPP_VERSION));
    static_assert(std::is_same_v<iotda::Client, iotda::IOTDA_HPP_VERSION::Client>);
}
