# Programs that link the static library leave out what they do not call of it, and of themselves: the linker's option
# --gc-sections, some 140 kB. The package and the source tree include this file.
#
#   IOTDA_GC_SECTIONS   whether they do (default ON). OFF for a program whose own sections are used in ways that the
#                       linker cannot see.

option(IOTDA_GC_SECTIONS "Leave out of programs what they do not call" ON)

# Gives the option to those that link the library, if their linker takes it. `condition` is a generator expression that
# holds for them.
function(iotda_gc_sections library condition)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(NOT IOTDA_GC_SECTIONS OR CMAKE_VERSION VERSION_LESS 3.18)
    return() # CMake cannot ask the linker before 3.18.
  endif()
  foreach(language C CXX)
    if(language IN_LIST languages)
      include(CheckLinkerFlag)
      check_linker_flag(${language} "LINKER:--gc-sections" IOTDA_LINKER_HAS_GC_SECTIONS)
      if(IOTDA_LINKER_HAS_GC_SECTIONS)
        set_property(TARGET ${library} APPEND PROPERTY
          INTERFACE_LINK_OPTIONS "$<${condition}:LINKER:--gc-sections>")
      endif()
      return()
    endif()
  endforeach()
endfunction()
