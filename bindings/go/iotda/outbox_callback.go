// What the C library calls with the outcome of an entry.

package iotda

// #include <stdint.h>
import "C"

import "runtime/cgo"

// A panic must not pass through the library's frames: what they hold would be lost. It ends here.

//export goIotdaSettled
func goIotdaSettled(handle C.uintptr_t, id C.uint64_t, deviceID *C.char, status C.int32_t, message *C.char) {
	defer func() { _ = recover() }()
	settled := cgo.Handle(handle).Value().(func(Settlement))
	settled(Settlement{
		ID: uint64(id), DeviceID: C.GoString(deviceID), Status: Status(status), Message: C.GoString(message),
	})
}
