// SPDX-License-Identifier: MIT
// The board as ACPI sees it: PCI bus 0 of the 440FX, the PIIX3's ISA devices and interrupt links, S5.
DefinitionBlock ("dsdt.aml", "DSDT", 1, "RING3 ", "RING3PC ", 0x00000001)
{
    // What this machine has: acpi.c writes other values here.
    Name (COMF, 0xCCCCCCCC) // bit n set: COM(n+1) is there
    Name (FDCF, 0xCCCCCCCC) // not 0: the floppy controller is there
    Name (PCMB, 0xE0000000) // PCI memory begins here

    Name (\_S5, Package () { Zero, Zero, Zero, Zero })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (CRES, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xE0000000, 0xFEBFFFFF, 0x00000000, 0x1EC00000, , , PW32)
            })
            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (CRES, \_SB.PCI0.PW32._MIN, PMIN)
                CreateDWordField (CRES, \_SB.PCI0.PW32._LEN, PLEN)
                PMIN = \PCMB
                PLEN = 0xFEC00000 - \PCMB
                Return (CRES)
            }
            // Pin p of slot s is PIRQ (s - 1 + p) & 3.
            Method (_PRT, 0, NotSerialized)
            {
                Local0 = Package (128) {}
                Local1 = Zero
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local3 = (Local1 + Local2 + 3) & 3
                    If (Local3 == 0) { Local4 = Package (4) { Zero, Zero, LNKA, Zero } }
                    If (Local3 == 1) { Local4 = Package (4) { Zero, Zero, LNKB, Zero } }
                    If (Local3 == 2) { Local4 = Package (4) { Zero, Zero, LNKC, Zero } }
                    If (Local3 == 3) { Local4 = Package (4) { Zero, Zero, LNKD, Zero } }
                    Local4 [0] = (Local2 << 16) | 0xFFFF
                    Local4 [1] = Local1 & 3
                    Local0 [Local1] = Local4
                    Local1++
                }
                Return (Local0)
            }

            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (P40C, PCI_Config, 0x60, 0x04)

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0x01, 0x08)
                        IRQNoFlags () { 8 }
                    })
                }
                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () { 1 }
                    })
                }
                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate () { IRQNoFlags () { 12 } })
                }
                Device (FDC0) // the drives are told apart by the CMOS's types, as ever
                {
                    Name (_HID, EisaId ("PNP0700"))
                    Method (_STA) { If (\FDCF) { Return (0x0F) } Return (Zero) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F2, 0x03F2, 0x00, 0x04)
                        IO (Decode16, 0x03F7, 0x03F7, 0x00, 0x01)
                        IRQNoFlags () { 6 }
                        DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
                    })
                }
                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, One)
                    Method (_STA) { If (\COMF & 1) { Return (0x0F) } Return (Zero) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0x00, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }
                Device (COM2)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 2)
                    Method (_STA) { If (\COMF & 2) { Return (0x0F) } Return (Zero) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02F8, 0x02F8, 0x00, 0x08)
                        IRQNoFlags () { 3 }
                    })
                }
                Device (COM3)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 3)
                    Method (_STA) { If (\COMF & 4) { Return (0x0F) } Return (Zero) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03E8, 0x03E8, 0x00, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }
                Device (COM4)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 4)
                    Method (_STA) { If (\COMF & 8) { Return (0x0F) } Return (Zero) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02E8, 0x02E8, 0x00, 0x08)
                        IRQNoFlags () { 3 }
                    })
                }
            }
        }

        // PIRQRC[A:D]: 82371SB (PIIX3) data sheet, PCI configuration 60h to 63h of function 0
        Field (PCI0.ISA.P40C, ByteAcc, NoLock, Preserve) { PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8 }

        Method (IQCR, 1, Serialized)
        {
            Name (PRR0, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 } })
            CreateDWordField (PRR0, 0x05, PRRI)
            If (Arg0 < 0x80) { PRRI = Arg0 }
            Return (PRR0)
        }

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 0)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { If (PRQA & 0x80) { Return (0x09) } Return (0x0B) }
            Method (_DIS) { PRQA |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQA)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 0x05, PRRI) PRQA = PRRI }
        }
        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { If (PRQB & 0x80) { Return (0x09) } Return (0x0B) }
            Method (_DIS) { PRQB |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQB)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 0x05, PRRI) PRQB = PRRI }
        }
        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { If (PRQC & 0x80) { Return (0x09) } Return (0x0B) }
            Method (_DIS) { PRQC |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQC)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 0x05, PRRI) PRQC = PRRI }
        }
        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { If (PRQD & 0x80) { Return (0x09) } Return (0x0B) }
            Method (_DIS) { PRQD |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQD)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 0x05, PRRI) PRQD = PRRI }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, Zero)
            OperationRegion (HPTM, SystemMemory, 0xFED00000, 0x0400)
            Field (HPTM, DWordAcc, Lock, Preserve) { VEND, 32, PRD, 32 }
            Method (_STA, 0, NotSerialized)
            {
                Local0 = VEND
                If ((Local0 == Zero) || (Local0 == 0xFFFFFFFF)) { Return (Zero) }
                Return (0x0F)
            }
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400) })
        }

        Device (C000)
        {
            Name (_HID, "ACPI0007")
            Name (_UID, Zero)
        }
    }
}
