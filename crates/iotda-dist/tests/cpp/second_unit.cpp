/* The header once more in the same program: nothing of it is defined twice. */
#include "check.hpp"

std::string json_of_second_unit();

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
