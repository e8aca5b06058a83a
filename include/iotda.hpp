/*
 * libiotda for C++17 and later: report to Huawei Cloud IoTDA over HTTPS.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_HPP
#define IOTDA_HPP

#include "iotda/client.hpp"
#include "iotda/error_code.hpp"
#include "iotda/outbox.hpp"

/*
 * How to use it
 *
 *   iotda::Config config;
 *   config.set_endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")
 *       .set_device(device_id, secret);
 *   auto client = iotda::Client::make(config);
 *   if (!client)
 *       return fail(client.message());
 *
 *   iotda::Props props;
 *   props.add("Height", 124).add("Speed", 23.24);
 *   if (auto sent = client->report_props({"weather", props}, 5s); !sent)
 *       return fail(sent.message());
 *
 * These headers are all there is: they call the functions of iotda.h, and add no library of their own. What
 * a function does beyond what is said here, and each status that it can return, is documented in iotda.h at
 * the function of the same name.
 *
 * - iotda/config.hpp: the settings of a client, and callables for clock, log and tokens.
 * - iotda/client.hpp: who reports. iotda/outbox.hpp: reports that outlive outages and restarts.
 * - iotda/props.hpp: a JSON object of properties. iotda/service.hpp: services and children of a report.
 * - iotda/batch.hpp: a batch that owns what is in it.
 * - iotda/call.hpp: what one call is given. iotda/outcome.hpp, iotda/status.hpp: how it ended.
 * - iotda/error_code.hpp: statuses as std::error_code. iotda/format.hpp, to be included by the program: for std::format.
 * - iotda/transport.hpp: a way to the network that the program supplies.
 * - iotda/text.hpp, iotda/time.hpp, iotda/handle.hpp: what these are built of.
 *
 * Errors: nothing throws, but for std::bad_alloc where a function says that it copies. The headers work
 * with -fno-exceptions and -fno-rtti. A function that can fail returns an Outcome, or a Result, which is
 * an Outcome with a value; it must not be ignored. Setters and Props::add are chained instead: their
 * failure is remembered, and returned by the call that uses what was set.
 *
 * Ownership: Config, Client, Props and Cancel own their handle and can be moved and not copied. Moved
 * from, they are empty: every call on one is refused with Status::invalid_argument, and does no harm.
 * Arguments are borrowed for the call alone, but for Service and Child, which refer to what they were
 * made of.
 *
 * Threads: any number of threads may use a Client or a Cancel at the same time, though not move, assign
 * or destroy it meanwhile. All other objects are for one thread at a time.
 *
 * Text: the library takes terminated text. A const char* or a std::string is passed on as it is; a
 * std::string_view, which has no end of its own, is copied where a function says so. All text is UTF-8.
 * A text with a zero byte in it is refused (Status::invalid_argument), never cut; so is a null pointer, and an
 * array of char without a zero byte.
 *
 * Time: every duration is a std::chrono one. It is rounded up to the next millisecond and bounded by
 * 2^32 - 1 ms; less than nothing is nothing.
 */

#endif /* IOTDA_HPP */
