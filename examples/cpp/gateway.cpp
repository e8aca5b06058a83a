/*
 * A gateway: it collects the readings of its child devices and reports them in batches.
 *
 *   gateway                                 reads from standard input
 *   gateway --simulate CHILDREN ROUNDS      makes readings up
 *
 * A line of the input is a reading, whose last part is a JSON object; an empty line, or the end, has what
 * came so far reported:
 *
 *   meter_1 power {"Voltage":230.4,"Phases":[229.8,230.1,230.4]}
 *   door_7 lock {"State":"open"}
 *
 * Who the gateway is comes from the environment: IOTDA_ENDPOINT, IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and,
 * unless a public authority signed the platform's certificate, IOTDA_CA_FILE.
 *
 * Each reading keeps the time at which it was taken. One that could not be delivered, and may be later, goes
 * with the next batch, for an hour; one that the platform will never take is dropped, and said so. The exit status
 * is 0 if all were delivered.
 */
#include <iotda.hpp>

#include <algorithm>
#include <deque>
#include <iostream>
#include <thread>

using namespace std::chrono_literals;

namespace {

struct Reading {
    std::string child;
    std::string service;
    std::string properties;
    std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
    iotda::Status status = iotda::Status::ok; // why it was not delivered the last time
};

/*
 * Whether to report it once more. What is transient may have to be put right by somebody (a child that is registered,
 * a certificate): so it is kept for a time, and not for ever.
 */
bool is_kept(const Reading &reading) {
    return iotda::is_transient(reading.status) &&
           std::chrono::system_clock::now() - reading.time < 1h;
}

class Gateway {
  public:
    explicit Gateway(iotda::Client client) : client_(std::move(client)) {}

    /* Takes a reading, if it is one; a wrong one is found here, where its line can be shown. */
    void take(Reading reading) {
        const bool id_is_good = !reading.child.empty() && reading.child.size() <= 128 &&
                                std::all_of(reading.child.begin(), reading.child.end(), is_of_id);
        /* The builder checks JSON, and leaves to the platform what it means. */
        iotda::Props check;
        if (!id_is_good || reading.service.empty() || reading.properties.empty() ||
            reading.properties.front() != '{' ||
            check.try_add_json(reading.service, reading.properties) != iotda::Status::ok) {
            lose(reading, "it is no reading");
            return;
        }
        if (readings_.size() == most_readings)
            report();
        if (readings_.size() == most_readings) {
            lose(readings_.front(), "there is no room for more");
            readings_.pop_front();
        }
        readings_.push_back(std::move(reading));
    }

    /* Reports all readings in one call. Those that are to be reported again stay. Returns how long to wait. */
    std::chrono::milliseconds report() {
        if (readings_.empty())
            return 0ms;
        /* Both refer to the readings, and the children to the services: room for all of them comes first. */
        std::vector<iotda::Service> services;
        std::vector<iotda::Child> children;
        services.reserve(readings_.size());
        children.reserve(readings_.size());
        for (const auto &reading : readings_) {
            services.emplace_back(reading.service, reading.properties, reading.time);
            children.emplace_back(reading.child, services.back());
        }
        const auto batch = client_.gateway_batch(children, 20s);
        if (!batch)
            std::cerr << "gateway: " << iotda::status_name(batch.status()) << ": "
                      << batch.message() << '\n';

        std::deque<Reading> kept;
        for (std::size_t i = 0; i < batch.size(); i++) {
            auto &reading = readings_[i];
            reading.status = batch.child_status(i);
            if (reading.status == iotda::Status::ok)
                delivered_++;
            else if (is_kept(reading))
                kept.push_back(std::move(reading));
            else
                lose(reading, iotda::status_name(reading.status));
        }
        readings_ = std::move(kept);
        return batch.retry_after().value_or(0ms);
    }

    /* Reports what is left, with a few tries. Whether nothing was lost. */
    bool finish() {
        for (int tries = 1; !readings_.empty(); tries++) {
            const auto wait = report();
            if (readings_.empty() || tries == 3)
                break;
            std::this_thread::sleep_for(std::min(wait, std::chrono::milliseconds(5s)));
        }
        for (const auto &reading : readings_)
            lose(reading, iotda::status_name(reading.status));
        std::cout << "delivered " << delivered_ << " readings, lost " << lost_ << '\n';
        return lost_ == 0;
    }

  private:
    static constexpr std::size_t most_readings = 1000;

    static bool is_of_id(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    }

    void lose(const Reading &reading, const char *why) {
        std::cerr << "gateway: a reading of " << reading.child << " is lost: " << why << '\n';
        lost_++;
    }

    iotda::Client client_;
    std::deque<Reading> readings_;
    std::size_t delivered_ = 0;
    std::size_t lost_ = 0;
};

/* CHILD SERVICE PROPERTIES. What is missing is empty. */
Reading parse(const std::string &line) {
    const auto first = std::min(line.find(' '), line.size());
    const auto second = std::min(line.find(' ', first + 1), line.size());
    Reading reading;
    reading.child = line.substr(0, first);
    reading.service = line.substr(std::min(first + 1, line.size()), second - first - 1);
    reading.properties = line.substr(std::min(second + 1, line.size()));
    return reading;
}

void read_input(Gateway &gateway) {
    for (std::string line; std::getline(std::cin, line);) {
        if (line.empty())
            gateway.report();
        else
            gateway.take(parse(line));
    }
}

void simulate(Gateway &gateway, int children, int rounds) {
    iotda::Props props;
    for (int round = 0; round < rounds; round++) {
        for (int child = 0; child < children; child++) {
            props.clear();
            props.add("Temperature", 15.5 + (child + round) % 10).add("Round", round);
            Reading reading;
            reading.child = "simulated_" + std::to_string(child);
            reading.service = "climate";
            reading.properties = props.json().view();
            gateway.take(std::move(reading));
        }
        gateway.report();
    }
}

} // namespace

int main(int argc, char **argv) {
    const char *endpoint = std::getenv("IOTDA_ENDPOINT"), *id = std::getenv("IOTDA_DEVICE_ID");
    const char *secret = std::getenv("IOTDA_DEVICE_SECRET");
    const char *ca_file = std::getenv("IOTDA_CA_FILE");
    const bool simulated = argc == 4 && argv[1] == std::string_view("--simulate");
    if (endpoint == nullptr || id == nullptr || secret == nullptr || (argc != 1 && !simulated)) {
        std::cerr << "usage: gateway [--simulate CHILDREN ROUNDS]\n"
                     "with IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET set\n";
        return EXIT_FAILURE;
    }
    iotda::Config config;
    config.set_endpoint(endpoint)
        .set_device(id, secret)
        .set_log(iotda::LogLevel::warning, [](iotda::LogLevel, std::string_view line) {
            std::cerr << "gateway: " << std::string(line) + '\n'; // one write: threads may log too
        });
    if (ca_file != nullptr)
        config.set_ca_file(ca_file);
    auto client = iotda::Client::make(config);
    if (!client) {
        std::cerr << "gateway: " << client.message() << '\n';
        return EXIT_FAILURE;
    }

    Gateway gateway(std::move(*client));
    if (simulated)
        simulate(gateway, std::atoi(argv[2]), std::atoi(argv[3]));
    else
        read_input(gateway);
    return gateway.finish() ? EXIT_SUCCESS : EXIT_FAILURE;
}
