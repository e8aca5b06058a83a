/*
 * libiotda for C++: outcomes and statuses for std::format and std::print. Not part of iotda.hpp, since <format> is large:
 * include it where it is used. Before C++20, and with a standard library without std::format, it is empty.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef IOTDA_FORMAT_HPP
#define IOTDA_FORMAT_HPP

#include "outcome.hpp"

#if __cplusplus >= 202002L
#include <version>
#endif
#ifdef __cpp_lib_format
#include <concepts>
#include <format>
#include <string>
#include <string_view>

/** The name of the status; with the width, fill and alignment of text. */
template <> struct std::formatter<iotda::Status> : std::formatter<std::string_view> {
    template <class Context> auto format(iotda::Status status, Context &context) const {
        return std::formatter<std::string_view>::format(iotda::status_name(status), context);
    }
};

/** What operator<< writes: the name of the status, and the message if there is one. Of results and batches as well. */
template <std::derived_from<iotda::Outcome> T>
struct std::formatter<T> : std::formatter<std::string_view> {
    template <class Context> auto format(const iotda::Outcome &outcome, Context &context) const {
        std::string text = iotda::status_name(outcome.status());
        if (!outcome)
            text.append(": ").append(outcome.message());
        return std::formatter<std::string_view>::format(text, context);
    }
};
#endif

#endif /* IOTDA_FORMAT_HPP */
