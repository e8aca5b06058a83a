"""The Conan recipe of libiotda: `conan create cmake/conan` in a checkout makes the package."""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rm, rmdir

required_conan_version = ">=2.0"


class Libiotda(ConanFile):
    name = "libiotda"
    description = "Report to Huawei Cloud IoTDA over HTTPS"
    license = "MIT OR Apache-2.0"
    topics = ("iot", "iotda", "huawei-cloud", "https")
    settings = "os", "arch", "compiler", "build_type"
    package_type = "library"
    options = {
        "shared": [True, False],
        # The certificate authorities that are built in; without any, a program must name those that it trusts.
        "roots": ["public+platform", "platform", "none"],
        # Programs may ask for TLS 1.3 beside 1.2.
        "tls13": [True, False],
    }
    # cargo builds in a directory of its own.
    no_copy_source = True
    default_options = {"shared": False, "roots": "public+platform", "tls13": True}

    def set_version(self):
        manifest = load(self, os.path.join(self.recipe_folder, "..", "..", "Cargo.toml"))
        self.version = re.search(r'^version = "([0-9.]+)"', manifest, re.MULTILINE).group(1)

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in (
            "Cargo.toml",
            "Cargo.lock",
            "CHANGELOG.md",
            "LICENSE-*",
            "cmake/*",
            "crates/*",
            "examples/rust/*",  # a member of the workspace
            "include/*",
        ):
            copy(self, pattern, root, self.export_sources_folder)

    def configure(self):
        # The library is C: neither the C++ compiler's standard nor its library matters.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("libiotda builds for Linux")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["IOTDA_ROOTS"] = str(self.options.roots)
        toolchain.cache_variables["IOTDA_TLS13"] = bool(self.options.tls13)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder="cmake")
        cmake.build()

    def package(self):
        CMake(self).install()
        lib = os.path.join(self.package_folder, "lib")
        # Conan's generators write these for the package as it is configured.
        rmdir(self, os.path.join(lib, "cmake"))
        rmdir(self, os.path.join(lib, "pkgconfig"))
        rm(self, "libiotda.a" if self.options.shared else "libiotda.so*", lib)
        documents = os.path.join(self.package_folder, "share", "doc", "libiotda")
        copy(self, "*", documents, os.path.join(self.package_folder, "licenses"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "iotda")
        self.cpp_info.set_property("cmake_target_name", "iotda::iotda")
        self.cpp_info.set_property("pkg_config_name", "iotda")
        self.cpp_info.libs = ["iotda"]
        if not self.options.shared:
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
