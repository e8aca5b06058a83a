/* What the C++ test programs share: assertions, and a config as the environment describes it. */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <iotda.hpp>

#include <cstdio>
#include <cstdlib>

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

/* The call is made once. What it says is shown if it does not end as expected. */
#define CHECK_STATUS(expected, call)                                                               \
    check_status(iotda::Status::expected, (call), #call, __FILE__, __LINE__)

inline void check(bool holds, const char *what, const char *file, int line) {
    if (holds)
        return;
    std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    std::exit(EXIT_FAILURE);
}

inline void check_status(iotda::Status expected, iotda::Status status, const char *what,
                         const char *file, int line) {
    if (status == expected)
        return;
    std::fprintf(stderr, "%s:%d: %s instead of %s: %s\n", file, line, iotda::status_name(status),
                 iotda::status_name(expected), what);
    std::exit(EXIT_FAILURE);
}

inline void check_status(iotda::Status expected, const iotda::Outcome &outcome, const char *what,
                         const char *file, int line) {
    if (outcome.status() != expected)
        std::fprintf(stderr, "%s\n", outcome.message());
    check_status(expected, outcome.status(), what, file, line);
}

/* Whether the message has this in it; shown if not. */
inline bool says(const iotda::Outcome &outcome, std::string_view text) {
    if (std::string_view(outcome.message()).find(text) != std::string_view::npos)
        return true;
    std::fprintf(stderr, "%s\n", outcome.message());
    return false;
}

inline const char *setting(const char *name) {
    const char *value = std::getenv(name);
    if (value == nullptr) {
        std::fprintf(stderr, "%s is not set\n", name);
        std::exit(EXIT_FAILURE);
    }
    return value;
}

inline iotda::Config config_from_environment() {
    iotda::Config config;
    config.set_endpoint(setting("IOTDA_ENDPOINT"))
        .set_device(setting("IOTDA_DEVICE_ID"), setting("IOTDA_DEVICE_SECRET"))
        .set_ca_file(setting("IOTDA_CA_FILE"));
    return config;
}

inline iotda::Client client_of(const iotda::Config &config) {
    auto client = iotda::Client::make(config);
    CHECK_STATUS(ok, client);
    return std::move(client).value();
}

#endif
