/*
 * A gateway: it puts the readings of its child devices into an outbox, which keeps them on disk and reports them in
 * batches until the platform has taken them, over outages and restarts.
 *
 *   gateway DIRECTORY                              reads from standard input
 *   gateway DIRECTORY --simulate CHILDREN ROUNDS   makes readings up
 *
 * The outbox is in DIRECTORY. A line of the input is a reading, whose last part is a JSON object; an empty line, or the
 * end, ends a round, and the gateway answers with how many readings are safe by now: they are on disk, or delivered.
 *
 *   meter_1 power {"Voltage":230.4,"Phases":[229.8,230.1,230.4]}
 *   door_7 lock {"State":"open"}
 *
 * Who the gateway is comes from the environment: IOTDA_ENDPOINT, IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and,
 * unless a public authority signed the platform's certificate, IOTDA_CA_FILE.
 *
 * What waits at the end is delivered by the next run. The exit status is 0 if no reading was lost: by a line that is
 * none, by the platform's refusal, or for want of room.
 */
#include <iotda.hpp>

#include <atomic>
#include <iostream>
#include <sstream>
#include <thread>

using namespace std::chrono_literals;

namespace {

class Gateway {
  public:
    /* The counter outlives the outbox, whose thread counts. */
    Gateway(const iotda::Client &client, iotda::Outbox &&outbox, std::atomic<std::size_t> &lost)
        : client_(client), outbox_(std::move(outbox)), lost_(lost) {}

    /*
     * Puts a reading, with the time of now. What is transient passes, or somebody puts it right (a disk that is full):
     * it is worth some more tries. What is wrong with the reading itself stays so.
     */
    void put(const std::string &child, const std::string &service_id,
             const std::string &properties) {
        const iotda::Service service(service_id, properties);
        const iotda::Child reading[] = {{child, service}};
        for (int tries = 1;; tries++) {
            const auto id = outbox_.put_batch(client_, reading);
            if (id) {
                put_++;
                return;
            }
            if (!id.is_transient() || tries == 3) {
                std::cerr << "gateway: a reading of " << child
                          << " is lost: " << iotda::status_name(id.status()) << ": " << id.message()
                          << '\n';
                lost_++;
                return;
            }
            std::this_thread::sleep_for(1s);
        }
    }

    void end_round() {
        if (const auto synced = outbox_.sync())
            std::cout << put_ << " readings are safe" << std::endl;
        else
            std::cerr << "gateway: " << iotda::status_name(synced.status()) << ": "
                      << synced.message() << '\n';
    }

    /* Delivers for some more seconds; the rest goes on waiting in the directory. Whether nothing was lost. */
    bool finish() {
        (void)outbox_.flush(5s);
        const auto stats = outbox_.stats();
        outbox_.close();
        std::cout << "delivered " << stats->delivered << " readings, lost " << lost_ << ", "
                  << stats->waiting << " wait\n";
        return lost_ == 0;
    }

  private:
    const iotda::Client &client_;
    iotda::Outbox outbox_;
    std::size_t put_ = 0;
    std::atomic<std::size_t> &lost_;
};

void read_input(Gateway &gateway) {
    for (std::string line; std::getline(std::cin, line);) {
        if (line.empty()) {
            gateway.end_round();
            continue;
        }
        std::istringstream words(line);
        std::string child, service, properties;
        words >> child >> service >> std::ws;
        std::getline(words, properties);
        gateway.put(child, service, properties);
    }
    gateway.end_round();
}

void simulate(Gateway &gateway, int children, int rounds) {
    iotda::Props props;
    for (int round = 0; round < rounds; round++) {
        for (int child = 0; child < children; child++) {
            props.clear();
            props.add("Temperature", 15.5 + (child + round) % 10).add("Round", round);
            gateway.put("simulated_" + std::to_string(child), "climate",
                        std::string(props.json().view()));
        }
        gateway.end_round();
    }
}

} // namespace

int main(int argc, char **argv) {
    const char *endpoint = std::getenv("IOTDA_ENDPOINT"), *id = std::getenv("IOTDA_DEVICE_ID");
    const char *secret = std::getenv("IOTDA_DEVICE_SECRET");
    const char *ca_file = std::getenv("IOTDA_CA_FILE");
    const bool simulated = argc == 5 && argv[2] == std::string_view("--simulate");
    if (endpoint == nullptr || id == nullptr || secret == nullptr || (argc != 2 && !simulated)) {
        std::cerr << "usage: gateway DIRECTORY [--simulate CHILDREN ROUNDS]\n"
                     "with IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET set\n";
        return EXIT_FAILURE;
    }
    iotda::Config config;
    config.set_endpoint(endpoint)
        .set_device(id, secret)
        .set_log(iotda::LogLevel::warning, [](iotda::LogLevel, std::string_view line) {
            /* One write: threads may log too. */
            std::cerr << "gateway: " + std::string(line) + '\n';
        });
    if (ca_file != nullptr)
        config.set_ca_file(ca_file);
    auto client = iotda::Client::make(config);
    if (!client) {
        std::cerr << "gateway: " << client.message() << '\n';
        return EXIT_FAILURE;
    }

    std::atomic<std::size_t> lost{0};
    iotda::OutboxOptions options(argv[1]);
    options.max_age(7 * 24h).when_full(iotda::WhenFull::drop_oldest);
    auto outbox = iotda::Outbox::open(
        *client, options,
        /* The log says why. What the platform refused is a dead letter: Outbox::dead_read. */
        [&lost](std::uint64_t, std::string_view, iotda::Status status, std::string_view) {
            lost += status == iotda::Status::ok ? 0 : 1;
        });
    if (!outbox) {
        std::cerr << "gateway: " << outbox.message() << '\n';
        return EXIT_FAILURE;
    }
    Gateway gateway(*client, std::move(*outbox), lost);
    if (simulated)
        simulate(gateway, std::atoi(argv[3]), std::atoi(argv[4]));
    else
        read_input(gateway);
    return gateway.finish() ? EXIT_SUCCESS : EXIT_FAILURE;
}
